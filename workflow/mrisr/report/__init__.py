"""The report's page, its viewer, the manifest; also from the results so far."""
