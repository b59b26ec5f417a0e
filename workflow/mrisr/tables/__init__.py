"""From CSV files to tables in four formats."""
