"""`mrisr sr`: a user's own scan or stacks, outside of a study."""
