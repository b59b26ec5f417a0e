"""torch modules, and their use on a volume: tiles, grids, query coordinates."""
