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

#: RGB in [0, 1]: the hues of Figure 11 of the ArSSR paper (arXiv 2110.14476v1), in shades that
#: those who lack the cones for green can tell apart too.
COLOURS = {
    "csf": (0.835, 0.369, 0.0),
    "gray_matter": (0.122, 0.31, 0.847),
    "white_matter": (0.067, 0.467, 0.2),
    "deep_gray_matter": (1.0, 0.941, 0.478),
    "brain_stem": (0.2, 0.733, 0.933),
    "cerebellum": (0.969, 0.776, 0.867),
}
