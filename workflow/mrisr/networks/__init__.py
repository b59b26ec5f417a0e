"""torch modules, and what applies them to a volume: tiles, grids, query coordinates."""
