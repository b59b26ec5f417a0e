"""Which volumes stay after their last use: those that the config keeps, and all on show.

The Snakefile uses this module at parse time, so it stays light.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from mrisr.data.finding import SUBJECT
from mrisr.plan import figures, report
from mrisr.study.study import Study

#: Kinds of volume that `keep` of a config may leave out. Each such volume belongs to one method,
#: dataset and scale: a study that deleted them can add a method and makes nothing again.
KINDS = ("sr", "segmentation")


@dataclass(frozen=True)
class Part:
    """Volumes of one kind that one rule makes, one subject a job.

    Attributes:
        suffix: End of the rule's name.
        subjects: Regular expression of the items.
        stays: Whether the volumes stay after their last use.
    """

    suffix: str
    subjects: str
    stays: bool

    def holds(self, item: str) -> bool:
        """Say whether an item is one of these volumes."""
        return re.fullmatch(rf"{self.subjects}\.", f"{item}.") is not None


#: The only part of a kind whose volumes all stay.
EVERYONE = Part("", SUBJECT, True)


class Keep:
    """Which volumes of a study stay.

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

    def parts(self, kind: str, dataset: str) -> list[Part]:
        """Return the rules that make a kind of volume: two if only the volumes on show stay."""
        if self.all(kind):
            return [EVERYONE]
        shown = "|".join(map(re.escape, self.shown[dataset]))
        others = rf"(?!(?:{shown})\.){SUBJECT}"
        return [Part("", others, False), Part("_shown", shown, True)]
