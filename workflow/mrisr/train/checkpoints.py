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
        with atomic(self.last) as temporary:
            temporary.write_bytes(content.getbuffer())
            if self.last.exists():
                self.last.replace(self.before)

    def load(self) -> dict | None:
        """Return the newest usable checkpoint, on the CPU, or None."""
        for file in (self.last, self.before):
            if not file.exists():
                continue
            try:
                state = torch.load(file, map_location="cpu", weights_only=True)
            except Exception as error:
                log.warning("%s: damaged (%s), taking the one before", file, error)
                continue
            if state.pop("fingerprint", None) == self.fingerprint:
                return state
            log.info("%s: made by another configuration, data or code; not used", file)
        return None
