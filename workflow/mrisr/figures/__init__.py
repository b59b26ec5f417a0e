"""One module a figure, drawn from what plan/figures.py says; shared canvas, style, scene."""
