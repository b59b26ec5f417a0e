"""One module a command group; only argument parsing."""
