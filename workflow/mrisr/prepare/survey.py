"""A look at all scans of a dataset, and every problem at once: `mrisr data check`."""

import csv
import io as text_io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mrisr.common.errors import InputError, Problem, ScanError
from mrisr.common.files import sha256, write_text
from mrisr.common.progress import collected, progress
from mrisr.common.text import size, wrapped
from mrisr.data.catalogue import scan_path, title
from mrisr.data.datasets import Dataset
from mrisr.data.finding import shared_files
from mrisr.prepare.ground_truth import prepare_patch, prepare_volume
from mrisr.volumes import checks, io
from mrisr.volumes.checks import Report
from mrisr.volumes.intensity import white_part, without_black
from mrisr.volumes.raw import load_scan

COLUMNS = (
    *("subject", "split", "path", "status", "bytes", "shape", "voxel_size", "orientation"),
    *("type", "sha256", "problems", "notes"),
)
# Fewest voxels along an axis that a study with scales up to 4 needs.
MIN_SIZE = 16
# What this share of the scans have in common is usual; scans without it are named.
USUAL = 0.75
# Longer lists of subjects are cut; the CSV has all of them.
NAMES = 12
# Number and bytes of the samples that tell a file from others of its size.
SAMPLES, SAMPLE_BYTES = 9, 1024
SHAPE, EDGES, AXES = "shape", "voxel size", "orientation"


@dataclass
class Row:
    """One subject and what the check found.

    Attributes:
        subject: Name of the subject.
        split: train, val or test.
        report: What the check found, None if the scan is not on disk yet.
        sha256: SHA-256 of the file, if all of it was read.
    """

    subject: str
    split: str
    report: Report | None
    sha256: str = ""

    @property
    def status(self) -> str:
        """One of fine, problem, not on disk."""
        if self.report is None:
            return "not on disk"
        return "problem" if self.report.problems else "fine"


@dataclass
class Survey:
    """What a look at a dataset found.

    Attributes:
        dataset: The dataset.
        folder: Folder of the scans; paths are shown relative to it.
        full: Whether the voxels were read too.
        rows: One a subject, in the order of the splits.
        warnings: What is unusual about single scans.
    """

    dataset: Dataset
    folder: Path
    full: bool
    rows: list[Row]
    warnings: list[str] = field(default_factory=list)

    def chosen(self, status: str) -> list[Row]:
        """Return the rows of a status."""
        return [row for row in self.rows if row.status == status]


def survey(
    dataset: Dataset,
    splits: Sequence[str],
    downloads: str | Path,
    full: bool = False,
    min_sizes: dict[str, int] | None = None,
    workers: int = 1,
) -> Survey:
    """Check every scan of a dataset that is on disk; nothing is downloaded.

    It refuses what fetching and preparing refuse, by the same code.

    Args:
        dataset: From `mrisr.data.datasets.load`, its subjects known.
        splits: Which of its splits.
        downloads: Folder for downloads.
        full: Also read the voxels and prepare the ground truth, not only check the header.
        min_sizes: By split, fewest voxels along an axis; default what scales up to 4 need.
        workers: Processes, if voxels are read.

    Raises:
        InputError: The list of subjects has to be made first.
    """
    dataset.check_access()
    folder = dataset.folder or Path(downloads).expanduser() / dataset.name
    recorded = {} if dataset.folder else _recorded(folder / "checksums.tsv")
    tasks = []
    for split in splits:
        for subject in dataset.subjects[split]:
            tasks.append(_task(dataset, split, subject, folder, downloads, recorded, full))
            tasks[-1]["min_size"] = (min_sizes or {}).get(split, MIN_SIZE)
    _refuse_shared(tasks)
    description = f"check {dataset.name}"
    count = min(workers, len(tasks)) if full else 1
    if count > 1:
        with ProcessPoolExecutor(count) as pool:
            rows = list(progress(pool.map(_examine, tasks), description, len(tasks)))
    else:
        rows = list(map(_examine, progress(tasks, description)))
    found = Survey(dataset, folder, full, rows)
    _refuse_twins(rows, recorded, folder)
    found.warnings += _outliers(rows)
    return found


def _refuse_shared(tasks: list[dict]) -> None:
    """Report a problem for the second of two subjects that share a file."""
    by_subject = {task["subject"]: task for task in tasks if task["path"] is not None}
    shared = shared_files({subject: task["path"] for subject, task in by_subject.items()})
    for subject, text in shared.items():
        what, _, remedy = text.partition("; ")
        by_subject[subject] |= {"path": None, "problem": Problem(what, remedy)}


def _task(
    dataset: Dataset,
    split: str,
    subject: str,
    folder: Path,
    downloads: str | Path,
    recorded: dict[str, dict],
    full: bool,
) -> dict:
    """Return what `_examine` needs to know about a subject; it may run in another process."""
    path, problem = None, None
    try:
        path = scan_path(dataset, subject, downloads)
    except InputError as error:
        what, _, remedy = " ".join(str(error).split()).partition("; ")
        key = f"datasets.{dataset.name}.subjects.{split}"
        problem = Problem(what, remedy or f"add it, or list the subjects to use under {key}")
    published, stated = dataset.checksums.get(subject, {}), dataset.file_set.publisher
    if path is not None and not published:
        published = recorded.get(path.relative_to(folder).as_posix(), {})
        stated = f"{folder / 'checksums.tsv'} has from its download"
    return {
        **{"subject": subject, "split": split, "path": path, "problem": problem, "full": full},
        **{"published": published, "stated": stated},
        **{"format": dataset.format(subject), "patch": dataset.holds_patches},
        **{key: dataset.spec[key] for key in ("crop", "mask", "intensity")},
    }


def _recorded(table: Path) -> dict[str, dict]:
    """Return the records of downloaded files: bytes and sha256 by path."""
    if not table.exists():
        return {}
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        return {r["file"]: {"bytes": int(r["bytes"]), "sha256": r["sha256"]} for r in rows}
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{table}: not a table of file, bytes, sha256; restore it, or delete it to trust the"
            " files that are there"
        ) from None


def _examine(task: dict) -> Row:
    """Check one scan."""
    path, split = task["path"], task["split"]
    if path is None:
        problems = [task["problem"]] if task["problem"] else []
        report = Report(Path(), problems=problems) if problems else None
        return Row(task["subject"], split, report)
    report, digest = checks.header(path, task["format"]), ""
    if report.shape is not None:
        try:
            digest = _examine_content(report, task)
        except OSError as error:
            report.problems.append(Problem(f"cannot be read ({error})", io.AGAIN))
    return Row(task["subject"], split, report, digest)


def _examine_content(report: Report, task: dict) -> str:
    """Check more than a scan's header, as far as asked; return the SHA-256 if it was read."""
    published, crop = task["published"], task["crop"]
    if not task["full"]:  # a checksum needs the whole file
        published = {key: value for key, value in published.items() if key == "bytes"}
    report.problems[:0] = checks.published_problems(report.path, published, task["stated"])
    if task["full"]:
        _examine_voxels(report, task)
        return sha256(report.path)
    if crop["kind"] != "shape" and len(report.shape) == 3:
        report.problems += checks.size_problems(report.shape, task["min_size"])
    return ""


def _examine_voxels(report: Report, task: dict) -> None:
    """Add the problems that reading and preparing a scan finds."""
    crop, mask, intensity = task["crop"], task["mask"], task["intensity"]
    try:
        volume = load_scan(report.path, task["format"])
        if task["patch"]:
            prepare_patch(volume, report.path.name, task["min_size"])
            return
        if report.problems or mask["kind"] != "signal":
            data, cut = without_black(volume.data, intensity), white_part(intensity) is not None
            found = checks.voxel_problems(data, cut)
            report.problems += found
            report.notes += [] if found else checks.voxel_notes(data, cut)
            return
        with collected() as messages:
            name, size = report.path.name, task["min_size"]
            truth, inside = prepare_volume(volume, crop, mask, name, size, intensity=intensity)
        prefix = f"{report.path.name}: "
        report.notes += [text.removeprefix(prefix) for _, text in messages]
        report.notes += checks.mask_notes(inside.data, truth.data)
    except ScanError as error:
        report.problems += [each for each in error.problems if each not in report.problems]
    except InputError as error:
        what, _, remedy = str(error).partition("; ")
        report.problems.append(Problem(what, remedy))


def _outliers(rows: Iterable[Row]) -> list[str]:
    """Name scans that differ from most of the others."""
    rows = [row for row in rows if row.report is not None and row.report.orientation]
    warnings = []
    for key in (SHAPE, EDGES, AXES):
        counts = Counter(_value(row.report, key) for row in rows)
        if len(counts) < 2:
            continue
        usual, count = counts.most_common(1)[0]
        if count < USUAL * len(rows):
            continue
        for row in rows:
            if _value(row.report, key) != usual:
                value = _value(row.report, key)
                text = f"{row.subject}: {key} {value} where {count} of {len(rows)} have {usual}"
                warnings.append(text)
    return warnings


def _refuse_twins(rows: Iterable[Row], recorded: Mapping[str, dict], folder: Path) -> None:
    """Report a problem for all but the first of equal scans, as the workflow refuses them.

    Copies and links of a file count, whatever their names. Without checksums, only files of one
    size are compared. They are read as a whole only if samples of them are equal.
    """
    sizes: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if row.report is not None and row.report.path.is_file():
            sizes[row.report.path.stat().st_size].append(row)
    several = [alike for alike in sizes.values() if len(alike) > 1]
    for rows_of_size in several:
        for first, *others in _same(rows_of_size, recorded, folder):
            for row in others:
                what = f"the same scan as {first.subject} ({first.split})"
                remedy = (
                    "take one of them out: a subject must not be counted twice"
                    if row.split == first.split
                    else "take it out of one split: networks would be tested on what they saw"
                )
                row.report.problems.append(Problem(what, remedy))


def _same(rows: Sequence[Row], recorded: Mapping[str, dict], folder: Path) -> list[list[Row]]:
    """Return groups of two or more equal files among files of one size."""
    groups: dict[object, list[Row]] = defaultdict(list)
    samples: dict[object, list[Row]] = defaultdict(list)
    for row in rows:
        path = row.report.path
        known = row.sha256 or recorded.get(_relative(path, folder), {}).get("sha256")
        if known:
            groups[known].append(row)
        else:
            samples[_sample(path)].append(row)
    compared = bool(groups)
    for alike in samples.values():
        if len(alike) > 1 or compared:
            inodes: dict[tuple[int, int], str] = {}
            for row in alike:
                about = row.report.path.stat()
                inode = about.st_dev, about.st_ino
                inodes[inode] = inodes.get(inode) or sha256(row.report.path)
                groups[inodes[inode]].append(row)
    return [group for group in groups.values() if len(group) > 1]


def _sample(path: Path) -> bytes:
    """Return a few parts of a file: its ends, which scans often share, and parts between them."""
    size = path.stat().st_size
    with path.open("rb") as file:
        parts = []
        for place in range(SAMPLES):
            file.seek(place * max(0, size - SAMPLE_BYTES) // (SAMPLES - 1))
            parts.append(file.read(SAMPLE_BYTES))
    return b"".join(parts)


def _value(report: Report, key: str) -> str:
    if key == SHAPE:
        return " x ".join(map(str, report.shape))
    if key == EDGES:
        return checks.edges(report.voxel_size)
    return report.orientation


def text(found: Survey) -> str:
    """Return a survey as lines of at most 100 characters (paths may be longer)."""
    read = "headers and voxels read" if found.full else "headers read; --full reads the voxels too"
    lines = wrapped(f"{title(found.dataset)}, {found.folder} ({read})")
    bad, fine, absent = (found.chosen(s) for s in ("problem", "fine", "not on disk"))
    if bad:
        lines += ["", "Problems"]
        for rows, path, problem in _grouped(bad, found.folder):
            place = f" {path}:" if path else ""
            lines += wrapped(f"{_names(rows)}:{place} {problem.what}", "  ", "    ")
            lines += wrapped(f"-> {problem.remedy}", "    ", "       ")
    notes = [f"{row.subject}: {note}" for row in fine for note in row.report.notes]
    if found.warnings or notes:
        lines += ["", "Warnings"]
        for warning in [*found.warnings, *notes]:
            lines += wrapped(warning, "  ", "    ")
    total = sum(row.report.bytes for row in fine)
    lines += ["", f"{len(fine)} fine ({size(total)}), {len(bad)} with problems"]
    seen = [row.report for row in [*fine, *bad] if row.report.orientation]
    for key in (SHAPE, EDGES, AXES) if seen else ():
        counts = Counter(_value(report, key) for report in seen)
        shown = [f"{value} ({count})" for value, count in counts.most_common(NAMES)]
        shown += ["..."] if len(counts) > NAMES else []
        lines += wrapped(f"{key + ':':<13}{', '.join(shown)}", "  ", " " * 15)
    if absent:
        verb = "makes" if found.dataset.kind == "bundled" else "downloads"
        tail = f"not on disk yet, the workflow {verb} them: {_listed(absent)}"
        lines += wrapped(f"{len(absent)} {tail}", "", "  ")
    return "\n".join(lines)


def _grouped(rows: Sequence[Row], folder: Path) -> Iterable[tuple[list[Row], str, Problem]]:
    """Yield problems; those that differ only in the subject's name together."""
    groups: dict[tuple[str, str, str], list[tuple[Row, str, Problem]]] = defaultdict(list)
    for row in rows:
        path = _relative(row.report.path, folder)
        for problem in row.report.problems:
            parts = (path, problem.what, problem.remedy)
            key = tuple(part.replace(row.subject, "{subject}") for part in parts)
            groups[key].append((row, path, problem))
    for (path, what, remedy), members in groups.items():
        if len(members) == 1:
            row, path, problem = members[0]
            yield [row], path, problem
        else:
            yield [row for row, _, _ in members], path, Problem(what, remedy)


def _relative(path: Path, folder: Path) -> str:
    if path == Path():
        return ""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _names(rows: Sequence[Row]) -> str:
    if len(rows) == 1:
        return f"{rows[0].subject} ({rows[0].split})"
    return f"{len(rows)} subjects ({_listed(rows)})"


def _listed(rows: Sequence[Row]) -> str:
    names = ", ".join(row.subject for row in rows[:NAMES])
    return names + (f" and {len(rows) - NAMES} more" if len(rows) > NAMES else "")


def write_csv(found: Survey, path: str | Path) -> None:
    """Write a survey as CSV, a row a subject; several problems are separated by ` | `.

    Args:
        found: From `survey`.
        path: File to write.
    """
    buffer = text_io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in found.rows:
        report = row.report or Report(Path())
        writer.writerow(
            [
                row.subject,
                row.split,
                "" if report.path == Path() else report.path,
                row.status,
                report.bytes or "",
                " x ".join(map(str, report.shape or ())),
                checks.edges(report.voxel_size) if report.voxel_size else "",
                report.orientation or "",
                report.kind or "",
                row.sha256,
                " | ".join(map(str, report.problems)),
                " | ".join(report.notes),
            ]
        )
    write_text(path, buffer.getvalue())
