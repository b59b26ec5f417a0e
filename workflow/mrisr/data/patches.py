"""Training patches that are published as one ZIP archive, with a folder for each split."""

import logging
import re
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from mrisr.common.errors import InputError
from mrisr.common.files import atomic, sha256, write_text
from mrisr.common.http import alone, download
from mrisr.common.storage import storage_problem
from mrisr.data import finding
from mrisr.data.datasets import Dataset
from mrisr.data.downloads import log_terms

log = logging.getLogger("mrisr")
NAME, MARK = "data.zip", b"PK\x03\x04"
SPLITS = ("train", "val")


def unpack(dataset: Dataset, downloads: str | Path) -> Path:
    """Download a dataset's archive, unless it is there, and take its patches out.

    Nothing publishes a checksum: that of the first download is recorded beside the archive, and
    verified from then on.

    Args:
        dataset: With `split: {kind: folders}` and a `source.zip`.
        downloads: The download folder that the dataset was loaded with.

    Returns:
        The folder that holds a folder for each split.

    Raises:
        InputError: The archive cannot be had, is none, changed, or lacks the patches of a split.
    """
    folder = Path(downloads) / dataset.name
    folder.mkdir(parents=True, exist_ok=True)
    log_terms(dataset.file_set)
    with alone(folder):
        archive = folder / NAME
        if not archive.exists():
            _fetch(dataset.spec["source"]["zip"], archive)
        _verify(archive)
        _take_out(archive, folder, dataset.spec["split"])
    return folder


def _fetch(url: str, archive: Path) -> None:
    part = archive.with_name(f"{archive.name}.part")
    part.unlink(missing_ok=True)  # without a checksum halves of two versions could meet
    by_hand = f"download it in a browser and put it at {archive}"
    download(url, part, offline=by_hand, absent=by_hand)
    with part.open("rb") as file:
        start = file.read(len(MARK))
    if start != MARK:
        part.unlink()
        raise InputError(f"{url}: the server sent no ZIP archive, it begins {start!r}; {by_hand}")
    part.replace(archive)


def _verify(archive: Path) -> None:
    record, found = archive.with_name(f"{archive.name}.sha256"), sha256(archive)
    if not record.exists():
        log.info("%s: its sha256 is recorded at this first use and verified from now on", archive)
        write_text(record, f"{found}\n")
    elif record.read_text(encoding="utf-8").strip() != found:
        raise InputError(
            f"{archive}: changed since its first use; delete {record} if you trust the new one, or"
            " the archive to download it again"
        )


def _take_out(archive: Path, folder: Path, split: Mapping) -> None:
    counts = dict.fromkeys(SPLITS, 0)
    try:
        with zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                for name in SPLITS:
                    # Only its bytes are taken, and names that can name a subject.
                    form = rf"(?:.*/)?{re.escape(split[name])}/({finding.SUBJECT})\.nii\.gz"
                    if found := re.fullmatch(form, member.filename):
                        target = folder / split[name] / f"{found[1]}.nii.gz"
                        counts[name] += 1
                        if not target.exists() or target.stat().st_size != member.file_size:
                            target.parent.mkdir(exist_ok=True)
                            with (
                                packed.open(member) as source,
                                atomic(target) as temporary,
                                temporary.open("wb") as file,
                            ):
                                shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        if isinstance(error, OSError) and storage_problem(error):
            raise  # a full disk is no fault of the archive
        raise InputError(
            f"{archive}: cannot be read as a ZIP archive ({error}); delete it and run again"
        ) from None
    for name, count in counts.items():
        if not count:
            raise InputError(
                f"{archive}: holds no {split[name]}/<name>.nii.gz; it is not the archive of"
                " training patches"
            )
        log.info("%s: %d %s patches in %s", archive, count, name, folder / split[name])
