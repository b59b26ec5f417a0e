"""`mrisr sr` on many scans: those of a BIDS folder, of another folder, or of a list of files."""

import logging
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrisr.common.errors import InputError
from mrisr.own_scans import bids, strip
from mrisr.volumes.io import STRANGERS

log = logging.getLogger("mrisr")
#: Folder of the derivative, below the BIDS folder.
DERIVATIVE = Path("derivatives") / "mrisr"
DICOM_AT, DICOM = next((place, mark) for place, mark, what, _ in STRANGERS if "DICOM" in what)
#: Files of a folder that are looked at to tell what is in it, where it has no NIfTI.
LOOKED_AT = 50


@dataclass(frozen=True)
class Task:
    """One scan, the SR volume to write, and the BIDS folder that the scan is in, if any."""

    scan: Path
    output: Path
    folder: Path | None = None


def tasks(given: Sequence[Path], output: Path | None) -> list[Task]:
    """Return what is to be made of files and folders.

    Args:
        given: NIfTI files, BIDS folders, or other folders with NIfTI files in them.
        output: Folder for the SR volumes. Default `derivatives/mrisr` of a BIDS folder, else the
            folder where we are.

    Raises:
        InputError: A folder holds no scan, or two scans would become one file.
    """
    found = []
    for path in given:
        if path.is_dir() and bids.is_bids(path):
            place = output or path / DERIVATIVE
            scans = bids.scans(path)
            found += [Task(scan, bids.derivative(scan, path, place), path) for scan in scans]
        else:
            scans = sorted(path.glob("*.nii*")) if path.is_dir() else [path]
            place = output or Path()
            found += [Task(scan, place / _name(scan)) for scan in scans]
        if not scans:
            raise InputError(_empty(path))
    by_output: dict[Path, Path] = {}
    for task in found:
        other = by_output.setdefault(task.output, task.scan)
        if other != task.scan:
            raise InputError(
                f"{other} and {task.scan} would both become {task.output}; name one at a time"
            )
    return found


def super_resolve_each(
    given: Sequence[Path],
    output: Path | None,
    stripped: bool,
    one: Callable[[Path, Path], object],
    force: bool = False,
    device: str = "auto",
    threads: int = 1,
) -> list[Path]:
    """Super-resolve each of many scans; what cannot be used is named at the end.

    SR volumes that are there already stay, so that the same command goes on where it ended.

    Args:
        given: See `tasks`.
        output: See `tasks`; of a single file, the file to write.
        stripped: Strip the skulls first.
        one: Makes the SR volume of a scan: takes its file and the file to write.
        force: Make SR volumes again that are there already.
        device: For the program that strips skulls.
        threads: Likewise.

    Returns:
        The SR volumes that were written.

    Raises:
        InputError: A scan could not be used; all others are done.
        ConfigError: No program that strips skulls is installed.
    """
    single = len(given) == 1 and given[0].is_file() and output is not None
    todo = [Task(given[0], output)] if single and output else tasks(given, output)
    if stripped:
        strip.program()  # before anything is read
    written, failed = [], []
    for number, task in enumerate(todo, start=1):
        if task.output.exists() and not force and not single:
            log.info("%s: is there already, and stays (--force makes it again)", task.output)
            continue
        if len(todo) > 1:
            log.info("scan %d of %d: %s", number, len(todo), task.scan)
        try:
            task.output.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="mrisr-strip-") as folder:
                scan = task.scan
                if stripped:
                    scan = strip.strip(scan, Path(folder), device, threads)
                one(scan, task.output)
        except InputError as error:
            if len(todo) == 1:
                raise
            log.error("%s", error)
            failed.append(str(task.scan))
            continue
        if task.folder is not None:
            bids.describe_volume(task.output, task.scan, task.folder, stripped)
        written.append(task.output)
    for folder in dict.fromkeys(task.folder for task in todo if task.folder is not None):
        place = output or folder / DERIVATIVE
        words = ["mrisr", *map(shlex.quote, sys.argv[1:])]
        if place.is_dir():
            bids.describe_dataset(folder, place, words)
    if failed:
        raise InputError(
            f"{len(failed)} of {len(todo)} scans could not be used, their messages are above:"
            f" {', '.join(failed)}"
        )
    return written


def _name(scan: Path) -> str:
    return scan.name.removesuffix(".gz").removesuffix(".nii") + "_sr.nii.gz"


def _empty(path: Path) -> str:
    """Return why a folder cannot be used."""
    files = [file for file in sorted(path.rglob("*")) if file.is_file()][:LOOKED_AT]
    if any(_is_dicom(file) for file in files):
        return (
            f"{path}: holds DICOM files; convert the series first: dcm2niix -z y -o OUT"
            f" {shlex.quote(str(path))}; then mrisr sr OUT"
        )
    if bids.is_bids(path):
        return f"{path}: a BIDS folder without a scan in sub-*/anat ({', '.join(bids.SUFFIXES)})"
    return f"{path}: holds no NIfTI file (.nii or .nii.gz); name the folder that has them"


def _is_dicom(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(DICOM_AT + len(DICOM)).endswith(DICOM)
