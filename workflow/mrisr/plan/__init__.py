"""What a study will make, as plain values: cells, tables, figures, jobs, costs, state.

Nothing is made here, and no module imports pandas, torch or matplotlib when it is imported.
"""
