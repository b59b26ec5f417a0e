"""Datasets are found, not registered: one YAML each, `workflow/datasets/<name>.yaml`.

It says where raw scans come from, under which terms, how subjects are split and what part of a
scan becomes ground truth (see `workflow/schemas/dataset.schema.yaml`). Relative folders are
taken from the working folder. This module is light, because the Snakefile imports it at parse
time in every job; what fetches scans is `mrisr.data.fetch`.
"""

import copy
import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from mrisr.common.errors import ConfigError, InputError
from mrisr.common.layout import SPLITS
from mrisr.common.paths import WORKFLOW
from mrisr.common.schema import nearest, read_yaml, validate
from mrisr.data import finding, subject_lists
from mrisr.data.file_set import FileSet, terms_of_use

FOLDER = WORKFLOW / "datasets"
Found = TypeVar("Found", Path, list[Path])  # what a subject has: a scan, or stacks
DOWNLOADS = "resources"
DEFAULTS: dict[str, Any] = {
    "description": "",
    "licence": "not stated",
    "citation": "",
    "doi": "",
    "url": "",
    "access": "",
    "simulated": False,
    "modality": "T1w",
    "crop": {"kind": "none"},
    "mask": {"kind": "signal"},
    "intensity": {},
    "scans": "hr",
    "reference": None,
    "lesions": None,
    "stacks": {"register": "rigid", "fixed": 1},
}
OVERRIDES = ("folder", "split", "subjects", "crop", "intensity")
GENERATORS = {"mni152": "mrisr.data.simulate"}
HDF5 = (".h5", ".hdf5")


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset as a study uses it.

    Attributes:
        name: Its name in paths.
        spec: The YAML's content with defaults and overrides applied.
        path: The YAML file.
        subjects: The subjects of each split (train, val, test), in order; a split may be empty.
        checksums: What is published about a subject's file: some of `sha256` and `md5` (in
            hexadecimal) and `bytes` (an integer).
        split_file: The TSV that says which subjects there are and what is published about them,
            or None for all subjects of a folder.
        unlisted: The command that lists the subjects, if that has still to be done: `subjects`
            then holds placeholders, enough to see what would run. None if they are known.
        grids: What the publisher's annotations say about a subject's grid, see `format`.
    """

    name: str
    spec: dict
    path: Path
    subjects: dict[str, list[str]]
    checksums: dict[str, dict]
    split_file: Path | None = None
    unlisted: str | None = None
    grids: dict[str, dict] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name in tables and figures; says so if the scans are simulated."""
        return self.spec["label"] + (" (simulated)" if self.spec["simulated"] else "")

    @property
    def kind(self) -> str:
        """Kind of source: bids, folder, https, s3 or bundled."""
        return self.spec["source"]["kind"]

    @property
    def has_ground_truth(self) -> bool:
        """Whether the scans are ground truths that LR is simulated from; else they are real LR."""
        return self.spec["scans"] in ("hr", "patches")

    @property
    def holds_patches(self) -> bool:
        """Whether the files are training patches, cut and normalised by their publisher."""
        return self.spec["scans"] == "patches"

    @property
    def stacked(self) -> bool:
        """Whether a subject's scans are several stacks of thick slices, real LR."""
        return self.spec["scans"] == "stacks"

    @cached_property
    def stacks(self) -> dict[str, list[str]]:
        """The names of each test subject's stacks, in the order of their files.

        Raises:
            InputError: As `local_files`.
        """
        return {
            subject: [f"stack-{n}" for n, _ in enumerate(files, start=1)]
            for subject, files in self._stack_files("test").items()
        }

    @property
    def reference(self) -> "Dataset | None":
        """The HR scans of the same subjects that stand beside real LR, or None."""
        return self._beside("reference")

    @property
    def lesions(self) -> "Dataset | None":
        """The masks of lesions that are published beside the scans, or None."""
        return self._beside("lesions")

    @property
    def drawn(self) -> Mapping | None:
        """How a study drew the splits anew, across those of the list: fractions and seed."""
        return self.spec.get("drawn")

    def _beside(self, key: str) -> "Dataset | None":
        """Return other files of the same subjects, as a dataset of their own."""
        about = self.spec[key]
        if about is None:
            return None
        scans = "lr" if self.stacked else self.spec["scans"]
        spec = {**self.spec, "source": about["source"], "scans": scans}
        if "folder" in about["source"]:
            spec.pop("folder", None)
        return replace(self, spec=spec, checksums={})

    @property
    def register(self) -> str:
        """How references are moved to the LR scans: `rigid` or `none`."""
        return (self.spec["reference"] or {}).get("register", "none")

    @property
    def folder(self) -> Path | None:
        """Where scans lie on disk already, or None if they are downloaded or made."""
        folder = self.spec.get("folder") or self.spec["source"].get("folder")
        return Path(folder).expanduser() if folder else None

    @property
    def scans_folder(self) -> Path:
        """Where scans lie on disk.

        Raises:
            InputError: They are downloaded or made, or the user must name the folder first.
        """
        if self.folder is None:
            raise InputError(self.lacking or f"dataset '{self.name}': it has no folder of scans")
        return self.folder

    @property
    def file_set(self) -> FileSet:
        """The files as a download sees them."""
        spec = self.spec
        terms = terms_of_use(spec["licence"], spec["citation"], spec["url"])
        about = (self.name, self.label, terms, spec["source"], self.checksums)
        return FileSet(*about, stated_in=str(self.split_file), access=spec["access"])

    @property
    def code(self) -> str | None:
        """The module that makes the scans of a bundled dataset, else None."""
        return GENERATORS[self.spec["source"]["generator"]] if self.kind == "bundled" else None

    @property
    def needs_folder(self) -> bool:
        """Whether the user must say where the scans are, and has not."""
        return self.kind == "folder" and self.folder is None and "zip" not in self.spec["source"]

    @property
    def brain_known(self) -> bool:
        """Whether the mask is the brain, not all of a head."""
        return self.spec["skull_stripped"] or self.spec["mask"]["kind"] != "signal"

    @property
    def intensity(self) -> str:
        """Which raw intensities become 1 and 0, for notes; empty for the maximum and 0."""
        about, parts = self.spec["intensity"], []
        if "white" in about:
            white = about["white"].rstrip(" %")
            parts.append(f"the {white} % quantile of the voxels above 0 is 1, above it is cut")
        if about.get("black"):
            parts.append(f"raw {about['black']:g} is 0, and so is what is darker")
        return "; ".join(parts)

    @property
    def placeholders(self) -> bool:
        """Whether `subjects` are as many as there will be, with names for a dry-run."""
        return bool(self.unlisted) or (self.needs_folder and any(self.subjects.values()))

    @property
    def lacking(self) -> str:
        """What must be done before the scans can be used; empty if nothing."""
        if self.needs_folder:
            at = f" at {self.spec['url']}" if self.spec["url"] else ""
            return (
                f"dataset '{self.name}': its scans are not downloaded here (licence:"
                f" {self.spec['licence']}); get them{at} and give their folder with"
                f" datasets.{self.name}.folder in the study's config"
            )
        if self.unlisted:
            return (
                f"dataset '{self.name}': its subjects are not listed yet, there is no"
                f" {self.split_file}; run: {self.unlisted}"
            )
        return ""

    def check_access(self) -> None:
        """Raise InputError if something must be done before the scans can be used."""
        if self.lacking:
            raise InputError(self.lacking)

    def format(self, subject: str) -> dict | None:
        """Return how a subject's HDF5 file is read (`mrisr.volumes.hdf5`); None for other files."""
        form = self.spec.get("format")
        return None if form is None else {**form, **self.grids.get(subject, {})}

    def local_files(self, split: str) -> dict[str, Path]:
        """Look up the scans of a split on disk; none of them is opened.

        Args:
            split: train, val or test.

        Returns:
            The file of each subject, in the split's order; of stacks, the file of each
            `<subject>_stack-<n>`. Empty if scans are downloaded or made, or the subjects are
            placeholders.

        Raises:
            InputError: The folder is missing, or subjects have no file or several; all of them
                are named at once.
        """
        if self.stacked:
            return _flat(self._stack_files(split))
        return self._look_up(split, "file", self.local_file)

    def local_file(self, subject: str) -> Path:
        """Look up the scan of one subject in the dataset's folder; it is not opened.

        Args:
            subject: A subject of a dataset that has a folder.

        Raises:
            InputError: No file or several match, or a link leads to nothing.
        """
        source = self.spec["source"]
        if "pattern" in source:
            remedy = f"make source.pattern in {self.path} match one"
            return finding.pattern_file(self.scans_folder, subject, source["pattern"], remedy)
        return finding.bids_file(self.scans_folder, subject, source, f"source of {self.path}")

    def mask_files(self, split: str) -> dict[str, Path]:
        """Look up the masks that are given beside the scans of a split; none of them is opened.

        Args:
            split: train, val or test.

        Returns:
            The mask of each subject (or stack), in the split's order; empty if masks are made.

        Raises:
            InputError: As `local_files`.
        """
        mask = self.spec["mask"]
        if mask["kind"] != "file":
            return {}
        if self.stacked:
            return _flat(self._stack_masks(split))
        remedy = f"make mask.pattern in {self.path} match one"
        return self._look_up(
            split,
            "mask",
            lambda subject: finding.pattern_file(
                self.scans_folder, subject, mask["pattern"], remedy
            ),
        )

    def _stack_files(self, split: str) -> dict[str, list[Path]]:
        pattern = self.spec["source"]["pattern"]
        return self._look_up(
            split,
            "stacks",
            lambda subject: finding.pattern_files(self.scans_folder, subject, pattern),
        )

    def _stack_masks(self, split: str) -> dict[str, list[Path]]:
        pattern, stacks = self.spec["mask"]["pattern"], self._stack_files(split)

        def find(subject: str) -> list[Path]:
            found = finding.pattern_files(self.scans_folder, subject, pattern)
            if len(found) != len(stacks[subject]):
                raise InputError(
                    f"{len(found)} masks of {len(stacks[subject])} stacks; each stack needs one,"
                    f" and both are taken in the order of their names (mask.pattern in {self.path})"
                )
            return found

        return self._look_up(split, "masks", find)

    def _look_up(self, split: str, what: str, find: Callable[[str], Found]) -> dict[str, Found]:
        folder, subjects = self.folder, self.subjects[split]
        if self.placeholders:
            return {}
        if self.needs_folder:
            raise InputError(self.lacking)
        if folder is None:
            return {}
        _check_folder(self.name, folder)
        files: dict[str, Found] = {}
        problems: list[str] = []
        for subject in subjects:
            try:
                files[subject] = find(subject)
            except InputError as error:
                problems.append(f"{subject}: {error}")
        shared = finding.shared_files(files)
        problems += [f"{subject}: {problem}" for subject, problem in shared.items()]
        if problems:
            head = (
                f"dataset '{self.name}': {len(problems)} of {len(subjects)} {split} subjects have"
                f" no usable {what} in {folder}; add it, or list the subjects to use under"
                f" datasets.{self.name}.subjects.{split} of the study's config:"
            )
            raise InputError("\n  ".join([head, *problems]))
        return files


def _flat(files: Mapping[str, list[Path]]) -> dict[str, Path]:
    return {
        f"{subject}_stack-{n}": path
        for subject, paths in files.items()
        for n, path in enumerate(paths, start=1)
    }


def names(search: Sequence[str | Path] = ()) -> list[str]:
    """Return the names of all datasets found, sorted.

    Args:
        search: Further folders that hold `datasets/<name>.yaml`; a name there must be new.

    Raises:
        ConfigError: A name is taken twice, or cannot be used in paths.
    """
    return sorted(_files(search))


def load(
    name: str,
    overrides: Mapping | None = None,
    search: Sequence[str | Path] = (),
    downloads: str | Path = DOWNLOADS,
) -> Dataset:
    """Load a dataset.

    Args:
        name: Its file in a `datasets` folder, without `.yaml`.
        overrides: What a study changes: `folder` (a copy on disk, used in place of the download;
            files are found there by the source's pattern or the BIDS rules), `split` (fractions
            and seed of splits that are drawn from all subjects, whatever split the list gives
            them), `subjects` (by split: a number of first ones, a list, or a file with one),
            `crop` and `intensity` (replace the dataset's).
        search: Further folders that hold `datasets/<name>.yaml`.
        downloads: Where `mrisr data split` puts the subjects of datasets whose list cannot be
            published: `<downloads>/<name>/split.tsv`.

    Raises:
        ConfigError: The dataset is unknown, or its files or the overrides are wrong; file, key or
            subject are named, with the nearest valid one.
        InputError: The folder is missing, or holds no subject.
    """
    found = _files(search)
    if name not in found:
        raise ConfigError(f"datasets: no dataset '{name}': {nearest(name, found)}")
    path = found[name]
    content = read_yaml(path)
    validate(content, "dataset", str(path))
    changes = {key: value for key, value in (overrides or {}).items() if value is not None}
    for key in changes:
        if key not in OVERRIDES:
            raise ConfigError(f"datasets.{name}: unknown key '{key}': {nearest(key, OVERRIDES)}")
    asked, drawn = changes.pop("subjects", {}), changes.pop("split", None)
    if "folder" in changes:
        changes["folder"] = str(changes["folder"])
    content |= changes
    validate(content, "dataset", f"datasets.{name} of the study's config")
    spec = copy.deepcopy({**DEFAULTS, **content})
    if drawn is not None:
        spec["drawn"] = {"fractions": drawn["fractions"], "seed": drawn.get("seed", 0)}
    spec["stacks"] = {**DEFAULTS["stacks"], **spec["stacks"]}
    if spec["source"]["kind"] == "bundled" and "folder" in spec:
        raise ConfigError(
            f"datasets.{name}.folder: this dataset is made, not read; describe scans of your own"
            " in a dataset file with source: {kind: bids, folder: ...}"
        )
    if drawn is not None and spec["scans"] == "patches":
        raise ConfigError(
            f"datasets.{name}.split: a draw would put patches of one subject into train and val;"
            " leave it out"
        )
    _check_keys(path, spec)
    unpacked = Path(downloads) / name
    if "zip" in spec["source"] and "folder" not in spec and _split_folders(spec, unpacked):
        spec["folder"] = str(unpacked)
    split_file, unlisted = _split_file(name, spec, path, downloads)
    if unlisted and search:
        unlisted += "".join(f" --plugins {folder}" for folder in search)
    dataset = Dataset(name, spec, path, {}, {}, split_file, unlisted)
    if dataset.folder is not None:
        _check_folder(name, dataset.folder)
    listed = _read_subjects(dataset)
    subjects = listed.subjects if listed else {split: [] for split in SPLITS}
    counts = spec["split"].get("counts") if isinstance(spec["split"], Mapping) else None
    if listed is None and counts:
        subjects = _numbered(counts, "placeholder")
    if dataset.drawn is not None and any(subjects.values()):
        subjects = _drawn(name, subjects, **dataset.drawn)
    if listed or counts:
        subjects = subjects | _choose(name, subjects, asked, listed is not None)
    return replace(
        dataset,
        subjects=subjects,
        checksums=listed.checksums if listed else {},
        grids=listed.grids if listed else {},
    )


def make_split(
    subjects: Iterable[str], counts: Mapping[str, int], *seed_parts: object
) -> dict[str, list[str]]:
    """Split subjects at random; the order they come in does not matter.

    Args:
        subjects: All subjects, each once.
        counts: Subjects in each split; their sum is the number of subjects.
        *seed_parts: What the draw depends on, see `mrisr.common.seeds.generator`.

    Returns:
        The subjects of each split, sorted.

    Raises:
        ConfigError: The counts do not add up, or a subject comes twice.
    """
    from mrisr.common.seeds import generator  # numpy, which the Snakefile does without

    ordered = sorted(subjects)
    if len(set(ordered)) != len(ordered) or sum(counts.values()) != len(ordered):
        raise ConfigError(
            f"split: {len(set(ordered))} different subjects of {len(ordered)} given, but"
            f" {' + '.join(map(str, counts.values()))} asked; every subject goes to one split"
        )
    drawn = iter(generator(*seed_parts).permutation(len(ordered)))
    return {
        split: sorted(ordered[next(drawn)] for _ in range(count)) for split, count in counts.items()
    }


def _drawn(
    name: str, subjects: Mapping[str, list[str]], fractions: Sequence[float], seed: int
) -> dict[str, list[str]]:
    """Draw train, val and test from all subjects.

    Raises:
        ConfigError: The fractions do not add up, or a split would be empty that should not.
    """
    everyone = [subject for split in SPLITS for subject in subjects[split]]
    if abs(sum(fractions) - 1) > 1e-6:
        raise ConfigError(
            f"datasets.{name}.split.fractions: {', '.join(map(str, fractions))} make"
            f" {sum(fractions):g}; give those of {', '.join(SPLITS)}, which make 1"
        )
    counts = {
        split: math.floor(fraction * len(everyone) + 0.5)
        for split, fraction in zip(SPLITS, fractions, strict=True)
    }
    counts["train"] = len(everyone) - counts["val"] - counts["test"]
    if counts["train"] < 0:  # both others were rounded up
        counts = {**counts, "train": 0, "test": counts["test"] + counts["train"]}
    for split, fraction in zip(SPLITS, fractions, strict=True):
        if fraction > 0 and counts[split] < 1:
            raise ConfigError(
                f"datasets.{name}.split.fractions: no {split} subject among {len(everyone)}; give"
                " it a larger fraction, or name the subjects under subjects"
            )
    return make_split(everyone, counts, seed, "drawn", name)


def _files(search: Sequence[str | Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in [FOLDER, *(Path(plugin) / "datasets" for plugin in search)]:
        for path in sorted(folder.glob("*.yaml")):
            if not re.fullmatch(r"[a-z0-9_]+", path.stem):
                raise ConfigError(
                    f"{path}: '{path.stem}' cannot name a dataset; rename it to a-z, 0-9 and _"
                )
            if path.stem in found:
                raise ConfigError(
                    f"dataset '{path.stem}' is in {found[path.stem]} and in {path}; rename one"
                )
            found[path.stem] = path
    return found


def _split_file(
    name: str, spec: Mapping, path: Path, downloads: str | Path
) -> tuple[Path | None, str | None]:
    """Return the file of a dataset's split, if any, and the command that must make it first."""
    split, source = spec["split"], spec["source"]
    kind = "table" if isinstance(split, str) else split["kind"]
    folder = spec.get("folder") or source.get("folder")
    if split == "test" or kind == "numbered" or (kind == "folders" and folder):
        return None, None
    if kind == "table":
        named = split if isinstance(split, str) else split["file"]
        beside = path.with_name(named)
        inside = Path(folder).expanduser() / named if folder else beside
        return (inside if inside.exists() and not beside.exists() else beside), None
    if kind == "annotations":
        return Path(folder or "").expanduser() / split["files"], None
    listed = split["train"] if kind == "folders" else "split.tsv"
    file = Path(downloads) / name / listed
    if file.exists() and kind != "folders":
        return file, None
    place = "" if str(downloads) == DOWNLOADS else f" --downloads {downloads}"
    return file, f"mrisr data split {name}{place}"


def _numbered(counts: Mapping[str, int], prefix: str) -> dict[str, list[str]]:
    numbers = itertools.count(1)
    return {
        split: [f"{prefix}{next(numbers):04}" for _ in range(counts[split])] for split in SPLITS
    }


def _check_folder(name: str, folder: Path) -> None:
    finding.check_literal(folder)
    if not folder.is_dir():
        raise InputError(
            f"dataset '{name}': no folder {folder}; correct datasets.{name}.folder in the study's"
            " config or source.folder in the dataset's file (relative ones start at the working"
            " folder)"
        )


def _check_keys(path: Path, spec: Mapping) -> None:
    """Refuse keys of a dataset file that do not go together."""
    source = spec["source"]
    if source.get("pattern", "").endswith(HDF5) != ("format" in spec):
        raise ConfigError(
            f"{path}: a source.pattern that ends in {' or '.join(HDF5)} and the key format go"
            " together"
        )
    local = "folder" in spec or source["kind"] in ("bids", "folder")
    if spec["mask"]["kind"] == "file" and not local:
        raise ConfigError(
            f"{path}: mask: kind file takes masks from the folder that has the scans, but they"
            " are downloaded or made; give a folder, or another kind of mask"
        )
    if spec["scans"] == "stacks":
        if not local or "pattern" not in source or "format" in spec:
            raise ConfigError(
                f"{path}: scans: stacks takes all files of a subject that match a pattern in a"
                " folder; give source: {kind: folder, pattern: ...} of NIfTI or MGH files"
            )
        if spec["mask"]["kind"] == "template":
            raise ConfigError(
                f"{path}: mask: kind template needs whole heads; take {{kind: signal}}, or give a"
                " mask of each stack"
            )
    elif spec["scans"] == "lr":
        for key, usual in (("mask", DEFAULTS["mask"]), ("format", None)):
            if spec.get(key) != usual:
                raise ConfigError(
                    f"{path}: {key}: not possible with scans: lr, whose foreground is found in"
                    " NIfTI or MGH scans; leave it out"
                )
    elif spec["reference"]:
        raise ConfigError(
            f"{path}: reference: it stands beside real LR, but these scans are the ground truth"
            " themselves; set scans: lr, or leave it out"
        )
    folders = isinstance(spec["split"], Mapping) and spec["split"]["kind"] == "folders"
    if folders != (spec["scans"] == "patches") or ("zip" in source and not folders):
        raise ConfigError(
            f"{path}: scans: patches, split: {{kind: folders}} and source.zip go together"
        )
    numbered = isinstance(spec["split"], Mapping) and spec["split"]["kind"] == "numbered"
    if numbered and source["kind"] != "bundled":
        raise ConfigError(
            f"{path}: split: kind numbered makes up subjects, so their scans must be made as well"
            " (source: {kind: bundled}); list the subjects in a TSV"
        )
    if spec["stacks"] != DEFAULTS["stacks"] and spec["scans"] != "stacks":
        raise ConfigError(f"{path}: stacks: goes with scans: stacks; set that, or leave it out")
    if spec["intensity"] and spec["scans"] == "stacks":
        raise ConfigError(
            f"{path}: intensity: stacks are scaled by their means in the masks; leave it out"
        )
    if spec["mask"]["kind"] == "template" and spec["skull_stripped"]:
        raise ConfigError(
            f"{path}: mask: kind template finds the brain in scans with skull, but skull_stripped"
            " is true; take {kind: signal}"
        )


def _read_subjects(dataset: Dataset) -> subject_lists.Listed | None:
    """Return a dataset's subjects, or None if they are not known yet."""
    split, file = dataset.spec["split"], dataset.split_file
    if dataset.unlisted:
        return None
    if isinstance(split, Mapping) and split["kind"] == "numbered":
        return subject_lists.Listed(_numbered(split["counts"], "sub-"))
    if dataset.needs_folder and (file is None or not file.exists()):
        return None
    if isinstance(split, Mapping) and split["kind"] == "folders":
        return _by_folder(dataset)
    if file is None:
        return _all_for_testing(dataset)
    if isinstance(split, Mapping) and split["kind"] == "annotations":
        where = f"dataset '{dataset.name}': split.files of {dataset.path}"
        return subject_lists.read_annotations(split["files"], dataset.scans_folder, where)
    only = split.get("as") if isinstance(split, Mapping) else None
    where, bids = f"{dataset.path}: split", dataset.kind == "bids"
    return subject_lists.read_split(file, where, bids, only)


def _split_folders(spec: Mapping, folder: Path) -> bool:
    return all((folder / spec["split"][split]).is_dir() for split in ("train", "val"))


def _by_folder(dataset: Dataset) -> subject_lists.Listed:
    """Return the patches of each split's folder, as its subjects."""
    found, split = subject_lists.Listed(), dataset.spec["split"]
    try:
        for name in ("train", "val"):
            pattern = f"{split[name]}/{{subject}}.nii.gz"
            found.subjects[name] = finding.pattern_subjects(dataset.scans_folder, pattern)
    except InputError as error:
        raise InputError(f"dataset '{dataset.name}': {error}") from None
    return found


def _all_for_testing(dataset: Dataset) -> subject_lists.Listed:
    """Return all subjects of a dataset's folder as test subjects."""
    if dataset.kind not in ("bids", "folder"):
        raise ConfigError(
            f"{dataset.path}: split: test takes the subjects of a folder; name a TSV here"
        )
    found = subject_lists.Listed()
    try:
        found.subjects["test"] = (
            finding.bids_subjects(dataset.scans_folder)
            if dataset.kind == "bids"
            else finding.pattern_subjects(dataset.scans_folder, dataset.spec["source"]["pattern"])
        )
    except InputError as error:
        raise InputError(f"dataset '{dataset.name}': {error}") from None
    return found


def _choose(
    name: str, subjects: Mapping[str, list[str]], asked: Mapping, known: bool
) -> dict[str, list[str]]:
    """Return the splits that a study's `subjects` replaces; names count if subjects are known."""
    chosen, problems = {}, []
    for split, choice in asked.items():
        at = f"datasets.{name}.subjects.{split}"
        if split not in SPLITS:
            problems.append(f"{at}: unknown split: {nearest(str(split), SPLITS)}")
            continue
        available = subjects[split]
        if isinstance(choice, int) and not isinstance(choice, bool):
            if not 1 <= choice <= len(available):
                problems.append(f"{at}: {choice} asked, the split has {len(available)} subjects")
            chosen[split] = available[:choice]
            continue
        if isinstance(choice, str):
            choice = subject_lists.read_list(choice, split, at, available)
        if isinstance(choice, Sequence) and not isinstance(choice, str):
            for subject in dict.fromkeys(choice):
                if not re.fullmatch(finding.SUBJECT, str(subject)):
                    problems.append(f"{at}: {subject!r} cannot name a subject")
                    continue
                if choice.count(subject) > 1:
                    problems.append(f"{at}: {subject} is listed twice")
                if known and subject not in available:
                    other = [s for s in SPLITS if subject in subjects[s]]
                    hint = f"it is in {other[0]}" if other else nearest(str(subject), available)
                    problems.append(f"{at}: no {split} subject '{subject}': {hint}")
            chosen[split] = list(choice)
        else:
            problems.append(f"{at}: {choice!r}; give a number of subjects, a list or a file")
    if problems:
        raise ConfigError("\n  ".join(["the study's config:", *problems]))
    return chosen
