"""The six regions of the segmentation: labels, names and colours."""

#: Labels in the order of ANTs' tissue priors.
REGIONS = {
    "csf": 1,
    "gray_matter": 2,
    "white_matter": 3,
    "deep_gray_matter": 4,
    "brain_stem": 5,
    "cerebellum": 6,
}
MEAN = "mean"  # what tables call the mean over the six regions

TITLES = {
    "csf": "CSF",
    "gray_matter": "Gray matter",
    "white_matter": "White matter",
    "deep_gray_matter": "Deep gray matter",
    "brain_stem": "Brain stem",
    "cerebellum": "Cerebellum",
    MEAN: "Mean",
}

#: RGB in [0, 1]: the colours of Figure 11 of the ArSSR paper (arXiv 2110.14476v1).
COLOURS = {
    "csf": (0.90, 0.10, 0.10),
    "gray_matter": (0.15, 0.30, 0.95),
    "white_matter": (0.10, 0.75, 0.20),
    "deep_gray_matter": (1.00, 0.90, 0.10),
    "brain_stem": (0.10, 0.85, 0.95),
    "cerebellum": (1.00, 0.50, 0.75),
}
