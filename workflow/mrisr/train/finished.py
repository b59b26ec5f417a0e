"""Finished models are kept aside until their study is done.

When a clock jumps back, outputs look older than their inputs. Snakemake then deletes them and runs
the training again. The same training takes its finished model instead of days of work.
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from mrisr.common import seals
from mrisr.common.files import atomic, digest, sha256, write_json

log = logging.getLogger("mrisr")

FOLDER, RECORD = "finished", "record.json"


class Finished:
    """The finished model of one training.

    Args:
        staging: Folder of the training's checkpoints.
        training: Everything that the model depends on.
    """

    def __init__(self, staging: str | Path, training: object):
        self.folder = Path(staging) / FOLDER
        self.fingerprint = digest(training)

    def keep(self, files: Sequence[Path]) -> None:
        """Keep a model's files beside its checkpoints, by hard links, which take no room."""
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            for file in files:
                try:
                    os.link(file, self.folder / file.name)
                except OSError:  # a file system without hard links
                    shutil.copyfile(file, self.folder / file.name)
            sums = {file.name: sha256(file) for file in files}
            write_json(self.folder / RECORD, {"training": self.fingerprint, "sha256": sums})
        except OSError as error:  # the model itself is saved already
            log.warning("%s: not kept aside (%s)", files[0].parent, error)

    def restore(self, target: str | Path) -> bool:
        """Write the kept files of the same training to a model folder; False if there are none.

        Damaged files are not used.
        """
        sums = self._recorded()
        if not sums or any(self._digest(name) != known for name, known in sums.items()):
            return False
        for name in sums:
            seals.unseal(Path(target) / name)
            with atomic(Path(target) / name) as temporary:  # a new file, with a new time
                shutil.copyfile(self.folder / name, temporary)
            seals.seal(Path(target) / name)
        log.info(
            "%s: this very training was finished before; its model is taken from %s (delete that"
            " folder to train again)",
            *(target, self.folder),
        )
        return True

    def _recorded(self) -> Mapping[str, str]:
        try:
            record = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none, or damaged
            return {}
        return record.get("sha256", {}) if record.get("training") == self.fingerprint else {}

    def _digest(self, name: str) -> str | None:
        file = self.folder / Path(name).name
        return sha256(file) if file.is_file() else None
