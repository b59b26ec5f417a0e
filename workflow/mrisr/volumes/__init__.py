"""Volumes in memory and on disk: formats, checks, geometry of stacks and slices, ANTs, labels."""
