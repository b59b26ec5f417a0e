"""Datasets are found, not registered: one YAML each, `workflow/datasets/<name>.yaml`.

It says where raw scans come from, under which terms, how subjects are split and what part of a
scan becomes ground truth (see `workflow/schemas/dataset.schema.yaml`). Relative folders are
taken from the working folder. This module is light, because the Snakefile imports it at parse
time in every job; what fetches scans is `mrisr.sources`.
"""

import copy
import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mrisr.errors import ConfigError, InputError
from mrisr.layout import SPLITS
from mrisr.schema import nearest, read_yaml, validate

FOLDER = Path(__file__).parent.parent / "datasets"
DOWNLOADS = "resources"
DEFAULTS = {
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
    "scans": "hr",
    "reference": None,
}
OVERRIDES = ("folder", "subjects", "crop")
GENERATORS = {"mni152": "mrisr.simulate"}
CHECKSUMS = {"sha256": r"[0-9a-f]{64}", "md5": r"[0-9a-f]{32}", "bytes": r"[0-9]+"}
SUBJECT = r"[A-Za-z0-9][A-Za-z0-9_-]*"


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
    """

    name: str
    spec: dict
    path: Path
    subjects: dict[str, list[str]]
    checksums: dict[str, dict]
    split_file: Path | None = None
    unlisted: str | None = None

    @property
    def label(self) -> str:
        """Name in tables and figures; says so if the scans are simulated."""
        return self.spec["label"] + (" (simulated)" if self.spec["simulated"] else "")

    @property
    def kind(self) -> str:
        """Kind of source: bids, https, s3 or bundled."""
        return self.spec["source"]["kind"]

    @property
    def has_ground_truth(self) -> bool:
        """Whether the scans are ground truths that LR is simulated from; else they are real LR."""
        return self.spec["scans"] == "hr"

    @property
    def reference(self) -> "Dataset | None":
        """The HR scans of the same subjects that stand beside real LR, or None."""
        about = self.spec["reference"]
        if about is None:
            return None
        spec = {**self.spec, "source": about["source"]}
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
    def publisher(self) -> str:
        """Who states checksums, for messages."""
        return f"the publisher states (see {self.split_file})"

    @property
    def code(self) -> str | None:
        """The module that makes the scans of a bundled dataset, else None."""
        return GENERATORS[self.spec["source"]["generator"]] if self.kind == "bundled" else None

    def list_first(self) -> str:
        """Return what to say where placeholders are not enough."""
        return (
            f"dataset '{self.name}': its subjects are not listed yet, there is no"
            f" {self.split_file}; run: {self.unlisted}"
        )

    def local_files(self, split: str) -> dict[str, Path]:
        """Look up the scans of a split on disk; none of them is opened.

        Args:
            split: train, val or test.

        Returns:
            The file of each subject, in the split's order; empty if scans are downloaded or made,
            or the subjects are not listed yet.

        Raises:
            InputError: The folder is missing, or subjects have no file or several; all of them
                are named at once.
        """
        folder, subjects = self.folder, self.subjects[split]
        if folder is None or self.unlisted:
            return {}
        _check_folder(self.name, folder)
        files, problems = {}, []
        for subject in subjects:
            try:
                files[subject] = self.local_file(subject)
            except InputError as error:
                problems.append(f"{subject}: {error}")
        if problems:
            head = (
                f"dataset '{self.name}': {len(problems)} of {len(subjects)} {split} subjects have"
                f" no usable file in {folder}; add it, or list the subjects to use under"
                f" datasets.{self.name}.subjects.{split} of the study's config:"
            )
            raise InputError("\n  ".join([head, *problems]))
        return files

    def local_file(self, subject: str) -> Path:
        """Look up the scan of one subject in the dataset's folder; it is not opened.

        Args:
            subject: A subject of a dataset that has a folder.

        Raises:
            InputError: No file or several match, or a link leads to nothing.
        """
        folder, source = self.folder, self.spec["source"]
        if "pattern" in source:
            wanted = source["pattern"].replace("{subject}", subject)
            # Globbing a plain path would hide a broken link.
            plain = not re.search(r"[*?\[]", wanted)
            found = [folder / wanted] if plain else sorted(folder.glob(wanted))
            found = [path for path in found if path.exists() or path.is_symlink()]
        else:
            suffix = source.get("suffix", "T1w")
            session = source.get("session", "*").removeprefix("ses-")
            wanted = (
                f"{subject}/{'' if session == '*' else f'ses-{session}/'}anat/*_{suffix}.nii.gz"
            )
            anat = list((folder / subject).glob(f"ses-{session}/anat"))
            if session == "*":
                anat.append(folder / subject / "anat")
            name = re.compile(rf"{subject}(_[A-Za-z]+-[A-Za-z0-9]+)*_{suffix}\.nii(\.gz)?")
            found = sorted(
                path
                for place in anat
                if place.is_dir()
                for path in place.iterdir()
                if name.fullmatch(path.name)
            )
        if not found:
            raise InputError(f"no file {wanted}")
        if len(found) > 1:
            names = " and ".join(str(path.relative_to(folder)) for path in found)
            raise InputError(
                f"{len(found)} files match, {names}; set session or pattern under source in"
                f" {self.path}"
            )
        if not found[0].exists():
            raise InputError(f"{wanted} is a link to nothing; if from DataLad, run `datalad get`")
        return found[0]


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
            files are found there by the source's pattern or the BIDS rules), `subjects` (by
            split, a number of first ones or a list), `crop` (replaces the dataset's).
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
    asked = changes.pop("subjects", {})
    if "folder" in changes:
        changes["folder"] = str(changes["folder"])
    content |= changes
    validate(content, "dataset", f"datasets.{name} of the study's config")
    spec = copy.deepcopy({**DEFAULTS, **content})
    if spec["source"]["kind"] == "bundled" and "folder" in spec:
        raise ConfigError(
            f"datasets.{name}.folder: this dataset is made, not read; describe scans of your own"
            " in a dataset file with source: {kind: bids, folder: ...}"
        )
    if spec["reference"] and spec["scans"] == "hr":
        raise ConfigError(
            f"{path}: reference: it stands beside real LR, but these scans are the ground truth"
            " themselves; set scans: lr, or leave it out"
        )
    split_file, unlisted = _split_file(name, spec["split"], path, downloads)
    if unlisted and search:
        unlisted += "".join(f" --plugins {folder}" for folder in search)
    subjects = {split: [] for split in SPLITS}
    dataset = Dataset(name, spec, path, subjects, {}, split_file, unlisted)
    if dataset.folder is not None:
        _check_folder(name, dataset.folder)
    if unlisted:
        subjects |= _placeholders(spec["split"]["counts"])
    elif split_file is None:
        subjects["test"] += _bids_subjects(dataset)
    else:
        _read_split(split_file, dataset)
    subjects.update(_choose(name, subjects, asked, known=not unlisted))
    return dataset


def make_split(
    subjects: Iterable[str], counts: Mapping[str, int], *seed_parts: object
) -> dict[str, list[str]]:
    """Split subjects at random; the order they come in does not matter.

    Args:
        subjects: All subjects, each once.
        counts: Subjects in each split; their sum is the number of subjects.
        *seed_parts: What the draw depends on, see `mrisr.seeds.generator`.

    Returns:
        The subjects of each split, sorted.

    Raises:
        ConfigError: The counts do not add up, or a subject comes twice.
    """
    from mrisr.seeds import generator  # numpy, which the Snakefile does without

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
    name: str, split: str | Mapping, path: Path, downloads: str | Path
) -> tuple[Path | None, str | None]:
    """Return the TSV of a dataset's split, if any, and the command that must make it first."""
    if split == "test":
        return None, None
    if isinstance(split, str):
        return path.with_name(split), None
    file = Path(downloads) / name / "split.tsv"
    if file.exists():
        return file, None
    place = "" if str(downloads) == DOWNLOADS else f" --downloads {downloads}"
    return file, f"mrisr data split {name}{place}"


def _placeholders(counts: Mapping[str, int]) -> dict[str, list[str]]:
    numbers = itertools.count(1)
    return {
        split: [f"placeholder{next(numbers):04}" for _ in range(counts[split])] for split in SPLITS
    }


def _check_folder(name: str, folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(
            f"dataset '{name}': no folder {folder}; correct datasets.{name}.folder in the study's"
            " config or source.folder in the dataset's file (relative ones start at the working"
            " folder)"
        )


def _bids_subjects(dataset: Dataset) -> list[str]:
    if dataset.kind != "bids":
        raise ConfigError(
            f"{dataset.path}: split: test takes the subjects of a BIDS folder; name a TSV here"
        )
    found = sorted(path.name for path in dataset.folder.glob("sub-*") if path.is_dir())
    if not found:
        raise InputError(
            f"dataset '{dataset.name}': {dataset.folder} holds no folder sub-*; give the folder"
            " that has the subjects' folders in it"
        )
    wrong = [subject for subject in found if not re.fullmatch(SUBJECT, subject)]
    if wrong:
        raise InputError(
            f"dataset '{dataset.name}': {dataset.folder}: {', '.join(map(repr, wrong))} cannot name"
            f" {'a subject' if len(wrong) == 1 else 'subjects'}; rename to letters, digits, - and _"
        )
    return found


def _read_split(path: Path, dataset: Dataset) -> None:
    """Fill in a dataset's subjects and checksums from its TSV."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise ConfigError(f"{dataset.path}: split: no file {path}; it lies beside it") from None
    reader = csv.DictReader(lines, delimiter="\t")
    columns = reader.fieldnames or []
    known = ("subject", "split", *CHECKSUMS)
    problems = [
        f"no column '{c}'; tabs separate the columns {', '.join(known[:2])} (and, if published,"
        f" {', '.join(CHECKSUMS)})"
        for c in known[:2]
        if c not in columns
    ] or [f"unknown column '{c}': {nearest(c, known)}" for c in columns if c not in known]
    if not problems:
        first: dict[str, int] = {}
        for row in reader:
            at = f"line {reader.line_num}"
            wrong = list(_row_problems(row, first))
            problems += [f"{at}: {problem}" for problem in wrong]
            if wrong:
                continue
            first[row["subject"]] = reader.line_num
            dataset.subjects[row["split"]].append(row["subject"])
            dataset.checksums[row["subject"]] = {
                kind: int(row[kind]) if kind == "bytes" else row[kind].lower()
                for kind in CHECKSUMS
                if row.get(kind) not in (None, "", "n/a")
            }
    if problems:
        raise ConfigError("\n  ".join([f"{path}:", *problems]))


def _row_problems(row: dict, first: dict[str, int]) -> Iterator[str]:
    if None in row or None in row.values():
        yield "as many cells as there are columns are expected; separate them by tabs"
        return
    subject = row["subject"]
    if not re.fullmatch(SUBJECT, subject):
        yield f"'{subject}' cannot name a subject; use letters, digits, - and _, e.g. sub-01"
    if subject in first:
        yield f"subject {subject} is in line {first[subject]} already; a subject has one split"
    if row["split"] not in SPLITS:
        yield f"subject {subject}: unknown split '{row['split']}': {nearest(row['split'], SPLITS)}"
    for kind, form in CHECKSUMS.items():
        value = row.get(kind, "")
        if value not in ("", "n/a") and not re.fullmatch(form, value.lower()):
            yield f"subject {subject}: '{value}' is no {kind}; leave it empty if none is published"


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
        elif isinstance(choice, Sequence) and not isinstance(choice, str):
            for subject in dict.fromkeys(choice):
                if choice.count(subject) > 1:
                    problems.append(f"{at}: {subject} is listed twice")
                if known and subject not in available:
                    other = [s for s in SPLITS if subject in subjects[s]]
                    hint = f"it is in {other[0]}" if other else nearest(str(subject), available)
                    problems.append(f"{at}: no {split} subject '{subject}': {hint}")
            chosen[split] = list(choice)
        else:
            problems.append(f"{at}: {choice!r}; give a number of subjects or a list of them")
    if problems:
        raise ConfigError("\n  ".join(["the study's config:", *problems]))
    return chosen
