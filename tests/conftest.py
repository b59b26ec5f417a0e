"""Fixtures that all tests share."""

import pytest
import torch

from tiny_study import TinyStudy

# Tests run beside each other and beside Snakemake: many small tasks, one thread each.
torch.set_num_threads(1)


@pytest.fixture
def tiny_study(tmp_path):
    """Make a tiny study: `tiny_study(methods=..., scales=...)`."""
    return lambda **config: TinyStudy(tmp_path, **config)
