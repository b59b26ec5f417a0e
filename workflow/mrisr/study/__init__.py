"""A config: completed (`study`), its optional keys, and checked (`check`).

`load` is the only door.
"""
