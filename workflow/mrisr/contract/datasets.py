"""The contract of datasets, as far as it can be checked without opening a scan."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from mrisr.common.errors import InputError, require
from mrisr.common.layout import SPLITS
from mrisr.data import datasets


def says_what_it_is(name: str, plugins: Sequence[str | Path]) -> None:
    """Check the label, and that it calls simulated scans simulated."""
    dataset = datasets.load(name, search=plugins)
    require(dataset.label.strip(), f"{dataset.path}: label: is empty")
    require(
        ("simulated" in dataset.label) == (dataset.kind == "bundled"),
        f"{dataset.path}: simulated: true goes with source: {{kind: bundled}}, and only with it",
    )


def has_each_subject_once(name: str, plugins: Sequence[str | Path]) -> None:
    """Check the splits; if the user has to get the scans first, check that this is explained."""
    dataset = datasets.load(name, search=plugins)
    if dataset.needs_folder:
        try:
            dataset.check_access()
        except InputError as error:
            key = f"datasets.{name}.folder in the study's config"
            require(key in str(error), f"{dataset.path}: it is not said how to give the folder")
            return
        require(False, f"{dataset.path}: its scans are neither there nor asked for")
    count = Counter(subject for split in SPLITS for subject in dataset.subjects[split])
    twice = sorted(subject for subject, times in count.items() if times > 1)
    require(not twice, f"{dataset.path}: in two splits: {', '.join(twice)}")
    require(
        dataset.subjects["test"] or dataset.holds_patches,
        f"{dataset.path}: has no test subjects, so no table can show it",
    )


def finds_its_scans(name: str, plugins: Sequence[str | Path]) -> None:
    """Check that every subject of a folder on disk has one scan, without opening any."""
    dataset = datasets.load(name, search=plugins)
    for split in SPLITS:
        if dataset.folder is not None:
            dataset.local_files(split)


CLAUSES: dict[str, Callable[[str, Sequence[str | Path]], None]] = {
    "says what it is": says_what_it_is,
    "has each subject in one split, and test subjects": has_each_subject_once,
    "finds a scan of every subject": finds_its_scans,
}
