"""Checkpoints of a training: written atomically, and loaded only by the same training."""

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
        folder: Folder of the checkpoints.
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
        """Write a checkpoint; the one before stays until the next.

        Raises:
            OSError: It cannot be written; the older checkpoints are still there.
        """
        # Through memory: torch does not report a full disk when it writes to the file.
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

        A checkpoint whose checksum is wrong is not used: it may well load, with other weights.
        """
        for file in (self.last, self.before):
            if not file.exists():
                continue
            try:
                state = _read(file)
            except Exception as error:
                # Only the first sentence: torch goes on with advice to load files that may run
                # code.
                reason = (str(error).split(". ")[0].splitlines() or [type(error).__name__])[0]
                log.warning("%s: damaged (%s), taking the one before", file, reason)
                continue
            if state.pop("fingerprint", None) == self.fingerprint:
                return state
            log.info("%s: made by another configuration, data or code; not used", file)
        return None


def _read(file: Path) -> dict:
    """Return the content of a checkpoint, if its checksum is right."""
    checksum, _, content = file.read_bytes().partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != checksum:
        raise ValueError("its checksum is not the one it was written with")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
