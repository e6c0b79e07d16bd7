"""Reports: what was measured, as one page that anyone can open."""

from variate.report.figures import headline
from variate.report.page import Picture, Report, Section

__all__ = ["Picture", "Report", "Section", "headline"]
