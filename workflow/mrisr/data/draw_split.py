"""Splits of datasets whose list of subjects cannot be published: listed and drawn by each user.

The draw depends on the subjects and on the seed in the dataset's file, and on nothing else: from
the same listing, every lab gets the same split.
"""

import csv
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mrisr.common.errors import ConfigError, InputError
from mrisr.common.files import write_text
from mrisr.common.layout import SPLITS
from mrisr.data.datasets import Dataset, make_split
from mrisr.data.finding import match_subject
from mrisr.data.subject_lists import CHECKSUMS

log = logging.getLogger("mrisr")


def split(dataset: Dataset, downloads: str | Path, replace: bool = False) -> Path:
    """List the subjects of a dataset and write which split each is in.

    Args:
        dataset: One with `split: {kind: listed}`; with `folder` that is listed, else its source.
        downloads: The download folder that the dataset was loaded with.
        replace: Write a split that differs from the one that is there.

    Returns:
        The TSV: subject, split, and what the source says about each file (bytes, md5); of training
        patches, which have a folder for each split, the folder that they are unpacked to.

    Raises:
        ConfigError: The dataset's subjects are known already.
        InputError: The source refuses, has too few subjects for the split, or another split was
            written before.
    """
    rule = dataset.spec["split"]
    if isinstance(rule, Mapping) and rule["kind"] == "folders" and dataset.folder is None:
        from mrisr.data.patches import unpack  # for networks, not needed for a folder

        return unpack(dataset, downloads)
    if not isinstance(rule, Mapping) or rule["kind"] != "listed":
        raise ConfigError(
            f"dataset '{dataset.name}': its subjects are known, there is nothing to list; see"
            f" split in {dataset.path}"
        )
    if dataset.folder is not None:
        where, found = str(dataset.folder), in_folder(dataset)
    else:
        from mrisr.data.downloads import log_terms, source  # for networks, not needed for a folder

        log_terms(dataset.file_set)
        origin = source(dataset.file_set, Path(downloads) / dataset.name)
        where, found = origin.address, origin.subjects()
    counts = fit_counts(len(found), rule["counts"], f"dataset '{dataset.name}': {where}")
    drawn = drawn_around(found, counts, rule, dataset.name)
    text = _table(drawn, found)
    target = dataset.split_file
    if target is None:
        raise ConfigError(f"{dataset.path}: split: name the file of the list, `file: name.tsv`")
    if target.exists() and target.read_text(encoding="utf-8") != text and not replace:
        raise InputError(
            f"{target}: not the split that {where} gives now; models trained on the old one would"
            " be tested on subjects they have seen: keep it, or write the new one with --replace"
            " and train again"
        )
    write_text(target, text)
    sizes = ", ".join(f"{count} {name}" for name, count in counts.items())
    log.info("%s: %d subjects listed at %s: %s", dataset.name, len(found), where, sizes)
    log.info("%s: written to %s", dataset.name, target)
    return target


def drawn_around(
    found: Iterable[str], counts: Mapping[str, int], rule: Mapping, name: str
) -> dict[str, list[str]]:
    """Draw a split around the subjects that are pinned to the test split.

    Args:
        found: All subjects.
        counts: Subjects in each split.
        rule: The dataset's `split`: `seed`, and `test`, subjects that a paper shows or names.
        name: The dataset's.

    Raises:
        InputError: More subjects are pinned than the test split has.
    """
    found = list(found)
    pinned = [subject for subject in rule.get("test", []) if subject in found]
    if absent := [subject for subject in rule.get("test", []) if subject not in found]:
        log.warning("dataset '%s': no such subject: %s", name, ", ".join(absent))
    if len(pinned) > counts["test"]:
        raise InputError(
            f"dataset '{name}': split.test pins {len(pinned)} subjects, but the test split has"
            f" {counts['test']}; raise counts.test, or pin fewer"
        )
    free = {**counts, "test": counts["test"] - len(pinned)}
    others = [subject for subject in found if subject not in pinned]
    drawn = make_split(others, free, rule["seed"], "split", name)
    return {**drawn, "test": sorted([*drawn["test"], *pinned])}


def fit_counts(found: int, counts: Mapping[str, int], where: str) -> dict[str, int]:
    """Return how many subjects each split gets: test and val as asked, train the rest.

    Args:
        found: Number of subjects.
        counts: As the dataset's file states them.
        where: What was listed, for messages.

    Raises:
        InputError: No subject would be left to train on, where some are asked.
    """
    stated = sum(counts.values())
    # In this order, whatever the file's: the draw depends on it.
    fitted = {name: counts[name] for name in SPLITS}
    fitted["train"] = found - counts["val"] - counts["test"]
    if fitted["train"] < min(1, counts["train"]):
        raise InputError(
            f"{where}: {found} subjects, too few for {counts['val']} val and {counts['test']} test"
            f" and some to train on ({stated} are expected); check that all of it can be read"
        )
    if found != stated:
        log.warning(
            "%s: %d subjects where %d are expected; val and test keep their numbers, train has"
            " %d in place of %d. Another list gives another split",
            *(where, found, stated, fitted["train"], counts["train"]),
        )
    return fitted


def in_folder(dataset: Dataset) -> dict[str, dict]:
    """Return the subjects whose scans lie in a dataset's folder, found by its pattern."""
    folder, pattern = dataset.scans_folder, dataset.spec["source"]["pattern"]
    found: dict[str, dict] = {}
    for path in sorted(folder.glob(pattern.replace("{subject}", "*"))):
        subject = match_subject(pattern, path.relative_to(folder).as_posix())
        if subject is not None and path.is_file():
            found[subject] = {}
    if not found:
        raise InputError(
            f"dataset '{dataset.name}': {folder} holds no {pattern}; give the folder that has the"
            " subjects' folders in it"
        )
    return found


def _table(drawn: Mapping[str, Sequence[str]], found: Mapping[str, Mapping]) -> str:
    """Return the split as TSV, with what is known about each subject's file."""
    kinds = [kind for kind in CHECKSUMS if any(kind in about for about in found.values())]
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(["subject", "split", *kinds])
    for name, subjects in drawn.items():
        for subject in subjects:
            about = found[subject]
            writer.writerow([subject, name, *(about.get(kind, "n/a") for kind in kinds)])
    return text.getvalue()
