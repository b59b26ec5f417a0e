"""CSV to tables in four formats."""
