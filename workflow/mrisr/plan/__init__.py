"""What a study will make, as plain values: cells, tables, figures, jobs, costs, state.

This package makes nothing, and importing it imports neither pandas nor torch nor matplotlib.
"""
