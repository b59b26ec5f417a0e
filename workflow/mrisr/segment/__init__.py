"""Tissue priors, six-region segmentation, overlap."""
