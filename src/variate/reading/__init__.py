"""Tables in files, read for whatever kind of data they hold."""

from variate.reading import files

__all__ = ["files"]
