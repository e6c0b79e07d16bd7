"""Anomalies in rows of numbers and tables: a detector of its own, beside `detect` of every kind."""

from variate.anomaly.detector import AnomalyDetector

__all__ = ["AnomalyDetector"]
