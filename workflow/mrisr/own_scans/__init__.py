"""`mrisr sr`: a scan or stacks of one's own, outside a study."""
