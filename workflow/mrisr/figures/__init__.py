"""One module for each kind of figure that plan/figures.py plans; shared canvas, style, scene."""
