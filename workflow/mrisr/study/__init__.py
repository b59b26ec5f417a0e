"""A study: its config completed (`study`), with optional keys, and checked (`check`).

`load` is the only door.
"""
