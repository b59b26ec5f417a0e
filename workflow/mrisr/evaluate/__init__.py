"""Metrics of subjects: written as CSV, read back with marks and outliers, and along a training."""
