"""Random numbers from generators seeded by (study seed, stage, ...), never from global state."""

import hashlib

import numpy as np


def seed(*parts: object) -> int:
    """Return a 63-bit seed that depends on all `parts` (study seed, stage, subject, step, ...)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*parts: object) -> np.random.Generator:
    """Return a NumPy generator seeded by all `parts`."""
    return np.random.default_rng(seed(*parts))
