"""Which volumes stay once they have been used: those that the config keeps, and all that are shown.

Light, because the Snakefile uses it at parse time.
"""

import re
from functools import cached_property
from pathlib import PurePosixPath

from mrisr.data.finding import SUBJECT
from mrisr.plan import figures, report
from mrisr.study.study import Study

#: What `keep` of a config may leave out. Both belong to one method, dataset and scale: without
#: them another method can be added and nothing that is there is made again.
KINDS = ("sr", "segmentation")


class Keep:
    """What of a study stays.

    Attributes:
        study: The study.
    """

    def __init__(self, study: Study):
        self.study = study

    def all(self, kind: str) -> bool:
        """Say whether all volumes of a kind stay."""
        return kind not in KINDS or kind in self.study.config["keep"]

    def stays(self, kind: str, dataset: str, item: str) -> bool:
        """Say whether the volumes of an item stay, for all methods and scales.

        Args:
            kind: Folder under `results/<study>/`, e.g. `sr`.
            dataset: Name of the dataset.
            item: See `Study.items`.
        """
        return self.all(kind) or item in self.shown[dataset]

    @cached_property
    def shown(self) -> dict[str, list[str]]:
        """The items of each test dataset that figures and the report show."""
        found = {name: self.study.items(name, "test")[:1] for name in self.study.test_datasets}
        files = report.viewer_files(report.viewer_sets(self.study))
        files += [file for figure in figures.figures(self.study) for file in figure.inputs]
        for file in files:
            parts = PurePosixPath(file.removeprefix(f"{self.study.layout.root}/")).parts
            if parts[0] in KINDS and len(parts) > 2 and parts[1] in found:
                found[parts[1]].append(parts[-1].removesuffix(".nii.gz"))
        return {name: list(dict.fromkeys(items)) for name, items in found.items()}

    def subjects(self, dataset: str, shown: bool) -> str:
        """Return the regular expression of the items that are shown, or of all others."""
        names = "|".join(map(re.escape, self.shown[dataset]))
        return names if shown else rf"(?!(?:{names})\.){SUBJECT}"
