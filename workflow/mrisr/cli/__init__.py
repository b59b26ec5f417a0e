"""One module for each command group, with argument parsing only."""
