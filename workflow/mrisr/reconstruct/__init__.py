"""From LR to SR on the exact grid, by networks and by solvers without a network."""
