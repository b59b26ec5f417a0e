"""Raw scans of a dataset, found, downloaded or made, and checked before anything else runs.

What a download is held against: the checksums in the dataset's TSV; where none is published,
those recorded when the file was first downloaded (trust on first use).
"""

import csv
import gzip
import hashlib
import io
import json
import logging
import threading
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import astuple, dataclass
from pathlib import Path

import pooch
import urllib3

from mrisr.datasets import Dataset
from mrisr.download import Unreachable, alone, download
from mrisr.errors import InputError, MrisrError
from mrisr.files import sha256, write_text
from mrisr.io import load_image, volume_shape
from mrisr.progress import progress
from mrisr.provenance import code_digest

log = logging.getLogger("mrisr")

COLUMNS = ("subject", "path", "url", "bytes", "sha256")
CHUNK = 1 << 20
OFFLINE = "give a copy on disk with the dataset's folder in the config"
ABSENT = "check the subject's name and the dataset's url"


@dataclass(frozen=True)
class Scan:
    """One row of the list of raw scans; the fields are its `COLUMNS`."""

    subject: str
    path: str
    url: str
    bytes: int
    sha256: str


def fetch(
    dataset: Dataset,
    split: str,
    downloads: str | Path,
    output: str | Path,
    workers: int = 4,
    seed: int = 0,
) -> None:
    """Bring the raw scans of a split to disk, check them and list them.

    Every file must agree with its checksum, if there is one, and be a 3-D scalar NIfTI by its
    header. What was fetched before is kept, also when other subjects fail.

    Args:
        dataset: From `mrisr.datasets.load`.
        split: train, val or test.
        downloads: Downloads go to `<downloads>/<dataset>/` under the source's pattern, beside
            `checksums.tsv` (file, bytes, sha256; what is trusted on first use); simulated scans
            to a folder there that is named by all they depend on. Scans in a folder of the
            user's stay where they are.
        output: TSV with the columns subject, path, url (`n/a` for scans found on disk), bytes,
            sha256, in the order of the split.
        workers: Files handled at the same time.
        seed: The study's seed, for scans that are simulated.

    Raises:
        InputError: A line for every subject without a usable scan: what is wrong, what to do.
    """
    subjects = dataset.subjects[split]
    folder = Path(downloads) / dataset.name
    description = f"fetch {dataset.name} {split}"
    if dataset.folder is not None:
        files = dataset.local_files(split)
        scans = _each(lambda s: _check(dataset, s, files[s]), subjects, description, workers)
    elif dataset.kind == "bundled":
        files = _simulate(dataset, subjects, folder, seed, workers)
        url = f"{dataset.code}:{dataset.spec['source']['generator']}"
        scans = _each(lambda s: _check(dataset, s, files[s], url), subjects, description, workers)
    else:
        # One process at a time: train and test are jobs of their own, and studies share it.
        with alone(folder):
            downloader = _Downloads(dataset, folder)
            try:
                scans = _each(downloader.get, subjects, description, workers)
            finally:
                downloader.report()
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(scan) for scan in scans)
    write_text(output, text.getvalue())
    total = sum(scan.bytes for scan in scans) / 1e6
    log.info("%s: %d scans, %.1f MB", description, len(scans), total)


def _each(
    work: Callable[[str], Scan], subjects: Sequence[str], description: str, workers: int
) -> list[Scan]:
    """Do `work` for all subjects; report all their problems together."""
    done: dict[str, Scan] = {}
    problems: dict[str, str] = {}
    with ThreadPoolExecutor(max(1, workers)) as pool:
        try:
            futures = {pool.submit(work, subject): subject for subject in subjects}
            for future in progress(as_completed(futures), description, len(futures)):
                try:
                    done[futures[future]] = future.result()
                except (MrisrError, OSError) as error:
                    problems[futures[future]] = " ".join(str(error).split())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if problems:
        head = f"{description}: {len(problems)} of {len(subjects)} subjects have no usable scan:"
        lines = [f"{subject}: {problems[subject]}" for subject in subjects if subject in problems]
        raise InputError("\n  ".join([head, *lines]))
    return [done[subject] for subject in subjects]


def _check(dataset: Dataset, subject: str, path: Path, url: str = "n/a") -> Scan:
    """Hold a file against what is published about it, and look at its header."""
    published = dataset.checksums.get(subject, {})
    stated = f"the publisher states (see {dataset.spec['split']})"
    size = path.stat().st_size
    if size != published.get("bytes", size):
        raise InputError(
            f"{path}: {size} bytes where {stated} {published['bytes']}; copy or download it again"
        )
    digest = sha256(path)
    for kind in ("sha256", "md5"):
        if kind in published:
            found = digest if kind == "sha256" else _md5(path)
            if found != published[kind]:
                raise InputError(
                    f"{path}: its {kind} is {found} where {stated} {published[kind]};"
                    " copy or download it again"
                )
    _check_header(path)
    return Scan(subject, str(path), url, size, digest)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _check_header(path: Path) -> None:
    volume_shape(load_image(path), path)


def _simulate(
    dataset: Dataset, subjects: Sequence[str], folder: Path, seed: int, workers: int
) -> dict[str, Path]:
    """Make the scans of a bundled dataset, those that are not there yet.

    The folder's name stands for all that they depend on, so that studies with another seed,
    parameters or code never meet each other's scans.
    """
    from mrisr import simulate  # nilearn, which takes a second to import

    source = dataset.spec["source"]
    parameters = source.get("parameters", {})
    basis = json.dumps([parameters, code_digest(dataset.code)], sort_keys=True)
    version = hashlib.sha256(basis.encode()).hexdigest()[:8]
    folder = folder / f"{source['generator']}-seed{seed}-{version}"
    files = {subject: folder / f"{subject}_T1w.nii.gz" for subject in subjects}
    missing = [subject for subject in subjects if not files[subject].exists()]
    if missing:
        _log_terms(dataset)
        files |= simulate.cohort(missing, folder, parameters, seed, workers)
    return files


def _log_terms(dataset: Dataset) -> None:
    spec = dataset.spec
    about = [f"licence: {spec['licence']}", spec["citation"] and f"cite: {spec['citation']}"]
    log.info("%s: %s", dataset.label, "; ".join(filter(None, [*about, spec["url"]])))


class _Downloads:
    """Downloads of one dataset into one folder."""

    def __init__(self, dataset: Dataset, folder: Path):
        self.dataset, self.folder = dataset, folder
        self.table = folder / "checksums.tsv"
        self.recorded = self._read_table()
        self.guard = threading.Lock()
        self.new = 0
        self.started = self.arrived = False
        self.unreachable: str | None = None
        pooch.get_logger().setLevel(logging.WARNING)  # it would log every file

    def get(self, subject: str) -> Scan:
        """Return the scan of a subject, downloaded unless it is there and correct."""
        source = self.dataset.spec["source"]
        name, url = (source[key].replace("{subject}", subject) for key in ("pattern", "url"))
        target = self.folder / name
        published = self.dataset.checksums.get(subject, {})
        known, why = None, ""
        if "sha256" in published or "md5" in published:
            kind = "sha256" if "sha256" in published else "md5"
            known, why = f"{kind}:{published[kind]}", f"stated in {self.dataset.spec['split']}"
        elif name in self.recorded:
            known = f"sha256:{self.recorded[name][1]}"
            why = f"recorded in {self.table} at the first download (if the publisher replaced the"
            why += " file and you trust the new one, delete its line there)"
        if known is None and target.exists():
            # Left by a run that was killed before it recorded it, or put there by hand.
            try:
                _check_content(target, target)
                _check_header(target)
            except InputError as error:
                log.warning("%s; downloading it again", error)
                target.unlink(missing_ok=True)
        self._retrieve(url, target, known, why)
        try:
            scan = _check(self.dataset, subject, target, url)
        except InputError:
            if known is None:
                target.unlink(missing_ok=True)
            raise
        if known is None:
            self._record(name, scan)
        return scan

    def report(self) -> None:
        """Say in the log which files were trusted on first use."""
        if self.new:
            log.info(
                "%s: no published checksums; those of %d files are recorded in %s at this first"
                " download and verified from now on",
                self.dataset.name,
                self.new,
                self.table,
            )

    def _retrieve(self, url: str, target: Path, known: str | None, why: str) -> None:
        part = target.with_name(f"{target.name}.part")
        if known is None and target.suffix != ".gz":
            # Neither a checksum nor gzip's CRC would tell if halves of two versions met.
            part.unlink(missing_ok=True)

        def downloader(url: str, temporary: str, _pooch: object) -> None:
            with self.guard:
                if not self.started:
                    self.started = True
                    _log_terms(self.dataset)
            if self.unreachable:
                raise InputError(f"{url}: not tried, as {self.unreachable} was not reached")
            if target.exists():
                log.warning("%s: has not the checksum %s; downloading it again", target, why)
            try:
                download(url, part, offline=OFFLINE, absent=ABSENT)
            except Unreachable:
                if not self.arrived:
                    self.unreachable = urllib3.util.parse_url(url).netloc
                raise
            self.arrived = True
            _check_content(part, target)
            part.replace(temporary)

        continued = part.exists()
        try:
            pooch.retrieve(url, known, target.name, target.parent, downloader=downloader)
        except (ValueError, InputError) as error:
            if continued and not part.exists():
                log.warning("%s: %s; starting anew, not from what was left", target, error)
                self._retrieve(url, target, known, why)
            elif isinstance(error, ValueError):
                raise InputError(f"{url}: not the checksum {why}: {error}") from None
            else:
                raise

    def _read_table(self) -> dict[str, tuple[int, str]]:
        if not self.table.exists():
            return {}
        try:
            with self.table.open(encoding="utf-8", newline="") as file:
                rows = csv.DictReader(file, delimiter="\t")
                return {row["file"]: (int(row["bytes"]), row["sha256"]) for row in rows}
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{self.table}: not a table of file, bytes, sha256; restore it, or delete it to"
                " trust the files that are there"
            ) from None

    def _record(self, name: str, scan: Scan) -> None:
        with self.guard:
            self.recorded[name] = (scan.bytes, scan.sha256)
            self.new += 1
            rows = [f"{file}\t{size}\t{sha}\n" for file, (size, sha) in self.recorded.items()]
            write_text(self.table, "".join(["file\tbytes\tsha256\n", *sorted(rows)]))


def _check_content(path: Path, target: Path) -> None:
    """Refuse, and remove, what is not the kind of file that `target` names, or is damaged."""
    with path.open("rb") as file:
        start = file.read(512)
    try:
        if start.lstrip()[:1] == b"<":
            raise InputError(
                f"{target.name}: the server sent a web page in place of the scan, which begins"
                f" {start[:60]!r}; open the address in a browser to see why"
            )
        if target.suffix == ".gz":
            if start[:2] != b"\x1f\x8b":
                raise InputError(
                    f"{target.name}: not gzip, begins {start[:20]!r}; check the dataset's url"
                )
            try:
                with gzip.open(path) as file:
                    while file.read(CHUNK):
                        pass
            except (OSError, EOFError, zlib.error) as error:
                raise InputError(
                    f"{target.name}: damaged gzip ({error}); run again to download it anew"
                ) from None
    except InputError:
        path.unlink()
        raise
