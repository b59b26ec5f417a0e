"""Metrics of subjects as CSV files, and back: with marks and outliers, and along a training."""
