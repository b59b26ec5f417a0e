"""The page, its viewer, the manifest; and the same from what exists so far."""
