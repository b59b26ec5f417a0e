"""LR in, SR out on the exact grid; solvers without a network."""
