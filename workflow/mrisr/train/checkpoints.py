"""Checkpoints of a training: written atomically, and only taken up for the same training."""

import hashlib
import io
import json
import logging
from pathlib import Path

import torch

from mrisr.common.files import atomic

log = logging.getLogger("mrisr")


class Checkpoints:
    """The last two checkpoints of one training.

    Args:
        folder: Where they lie.
        fingerprint: Everything that the training depends on (settings, data, code). A checkpoint
            made under another one is ignored.
    """

    def __init__(self, folder: str | Path, fingerprint: object):
        self.folder = Path(folder)
        text = json.dumps(fingerprint, sort_keys=True, default=str)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self.last = self.folder / "checkpoint.pt"
        self.before = self.folder / "checkpoint.before.pt"

    def save(self, state: dict) -> None:
        """Write a checkpoint; the one before is kept until the next.

        Raises:
            OSError: It cannot be written; those that were there still are.
        """
        # Not straight to the file: torch does not say that a disk is full.
        content = io.BytesIO()
        torch.save({"fingerprint": self.fingerprint, **state}, content)
        checksum = hashlib.sha256(content.getbuffer()).hexdigest()
        with atomic(self.last) as temporary:
            with temporary.open("wb") as file:
                file.write(f"{checksum}\n".encode())
                file.write(content.getbuffer())
            if self.last.exists():
                self.last.replace(self.before)

    def load(self) -> dict | None:
        """Return the newest usable checkpoint, on the CPU, or None.

        One with another checksum than it was written with is not used: it may well load, with
        other weights.
        """
        for file in (self.last, self.before):
            if not file.exists():
                continue
            try:
                state = _read(file)
            except Exception as error:
                # The first sentence: torch goes on with advice to load what may run code.
                reason = (str(error).split(". ")[0].splitlines() or [type(error).__name__])[0]
                log.warning("%s: damaged (%s), taking the one before", file, reason)
                continue
            if state.pop("fingerprint", None) == self.fingerprint:
                return state
            log.info("%s: made by another configuration, data or code; not used", file)
        return None


def _read(file: Path) -> dict:
    """Return what a checkpoint holds, if it is what was written."""
    checksum, _, content = file.read_bytes().partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != checksum:
        raise ValueError("its checksum is not the one it was written with")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
