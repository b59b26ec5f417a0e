"""Checkpoints that were damaged are never continued from."""

import logging

import pytest
import torch

from mrisr.train.checkpoints import Checkpoints


@pytest.fixture
def saved(tmp_path):
    """Two checkpoints, of steps 1 and 2."""
    checkpoints = Checkpoints(tmp_path, {"seed": 1})
    for step in (1, 2):
        checkpoints.save({"step": step, "weights": torch.full((100,), float(step))})
    return checkpoints


def test_the_newest_is_taken(saved):
    state = saved.load()
    assert state["step"] == 2 and set(state) == {"step", "weights"}
    assert Checkpoints(saved.folder, {"seed": 2}).load() is None


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_flipped_bytes_anywhere_give_the_one_before(saved, place, caplog):
    content = bytearray(saved.last.read_bytes())
    content[int(place * len(content))] ^= 1
    saved.last.write_bytes(content)
    assert saved.load()["step"] == 1
    assert "checkpoint.pt: damaged (its checksum is not" in caplog.text


def test_weights_that_changed_in_a_file_that_loads_are_not_used(saved):
    content = saved.last.read_bytes()
    two, three = (torch.tensor([value]).numpy().tobytes() for value in (2.0, 3.0))
    assert 8 * two in content
    saved.last.write_bytes(content.replace(8 * two, 8 * three))
    assert saved.load()["step"] == 1


def test_one_that_fits_but_lacks_keys_gives_the_one_before(saved, caplog):
    torch.save({"fingerprint": saved.fingerprint, "step": 2}, saved.last)
    assert saved.load()["step"] == 1
    saved.before.write_bytes(b"")
    assert saved.load() is None


def test_nothing_advises_to_load_what_may_run_code(saved, caplog):
    caplog.set_level(logging.WARNING)
    for content in (b"", b"PK", b"\x80\x02c__builtin__\neval\n."):
        saved.last.write_bytes(content)
        assert saved.load()["step"] == 1
    assert "weights_only" not in caplog.text
