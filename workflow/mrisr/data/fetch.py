"""Raw scans of a dataset, found, downloaded or made, and checked before anything else runs."""

import csv
import hashlib
import io
import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import astuple, dataclass
from pathlib import Path

from mrisr.common.errors import InputError, MrisrError
from mrisr.common.files import sha256, write_text
from mrisr.common.http import Refused, alone
from mrisr.common.progress import progress
from mrisr.common.provenance import code_digest
from mrisr.data.datasets import GENERATORS, Dataset
from mrisr.data.downloads import Downloads, log_terms
from mrisr.data.file_set import FileSet
from mrisr.volumes import checks

log = logging.getLogger("mrisr")

COLUMNS = ("subject", "path", "url", "bytes", "sha256")


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

    Every file must agree with its checksum, if there is one, and be a 3-D scalar volume by
    its header. What was fetched before is kept, also when other subjects fail.

    Args:
        dataset: From `mrisr.data.datasets.load`.
        split: train, val or test.
        downloads: Downloads go to `<downloads>/<dataset>/` under the source's pattern, beside
            `checksums.tsv` (file, bytes, sha256; what is trusted on first use); simulated scans
            to a folder there that is named by all they depend on. Scans in a folder of the
            user's stay where they are.
        output: TSV with the columns subject, path, url (`n/a` for scans found on disk), bytes,
            sha256, in the order of the split; of stacks, a row a `<subject>_stack-<n>`.
        workers: Files handled at the same time.
        seed: The study's seed, for scans that are simulated.

    Raises:
        InputError: A line for every subject without a usable scan: what is wrong, what to do;
            the keys are refused that the source asks for; or the subjects are not listed yet.
    """
    dataset.check_access()
    subjects = dataset.subjects[split]
    folder = Path(downloads) / dataset.name
    description = f"fetch {dataset.name} {split}"
    if dataset.folder is not None:
        paths = dataset.local_files(split)
        scans = _each(_checker(dataset, paths, "n/a"), list(paths), description, workers)
    elif dataset.kind == "bundled":
        paths = _simulate(dataset, subjects, folder, seed, workers)
        url = f"{dataset.code}:{dataset.spec['source']['generator']}"
        scans = _each(_checker(dataset, paths, url), subjects, description, workers)
    else:
        files = dataset.file_set
        scans = fetch_files(files, subjects, folder, description, workers, dataset.format)
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(scan) for scan in scans)
    write_text(output, text.getvalue())


def fetch_files(
    files: FileSet,
    names: Sequence[str],
    folder: Path,
    description: str,
    workers: int = 4,
    format_of: Callable[[str], dict | None] = lambda name: None,
) -> list[Scan]:
    """Download volumes and check them, those that are not there yet.

    Args:
        files: Where they are, and what is stated about them.
        names: Which of them: what `{subject}` stands for in the source.
        folder: Where they go, see `fetch`.
        description: For messages.
        workers: Files handled at the same time.
        format_of: Returns how the file of a name is read, see `Dataset.format`.

    Raises:
        InputError: A line for every name without a usable file, or the keys are refused.
    """

    def check(name: str, path: Path, url: str) -> Scan:
        return _check(files, name, path, url, format_of(name))

    # One process at a time: train and test are jobs of their own, and studies share it.
    with alone(folder):
        downloads = Downloads(files, folder, check)
        try:
            return _each(downloads.get, names, description, workers)
        finally:
            downloads.report()


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
                except Refused:
                    raise
                except (MrisrError, OSError) as error:
                    problems[futures[future]] = " ".join(str(error).split())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if problems:
        head = f"{description}: {len(problems)} of {len(subjects)} subjects have no usable scan:"
        lines = [f"{subject}: {problems[subject]}" for subject in subjects if subject in problems]
        raise InputError("\n  ".join([head, *lines]))
    scans = [done[subject] for subject in subjects]
    total = sum(scan.bytes for scan in scans) / 1e6
    log.info("%s: %d scans, %.1f MB", description, len(scans), total)
    return scans


def _check(files: FileSet, subject: str, path: Path, url: str, form: dict | None) -> Scan:
    """Hold a file against what is published about it, and look at its header."""
    report = checks.header(path, form)
    if report.shape is not None:
        published = files.checksums.get(subject, {})
        report.problems[:0] = checks.published_problems(path, published, files.publisher)
    report.refuse()
    for note in report.notes:
        log.warning("%s: %s: %s", subject, path, note)
    return Scan(subject, str(path), url, report.bytes, sha256(path))


def _checker(dataset: Dataset, paths: dict[str, Path], url: str) -> Callable[[str], Scan]:
    """Return what checks the file of a subject that is on disk."""
    files = dataset.file_set
    return lambda name: _check(files, name, paths[name], url, dataset.format(name))


def _simulate(
    dataset: Dataset, subjects: Sequence[str], folder: Path, seed: int, workers: int
) -> dict[str, Path]:
    """Make the scans of a bundled dataset, those that are not there yet.

    The folder's name stands for all that they depend on, so that studies with another seed,
    parameters or code never meet each other's scans.
    """
    from mrisr.data import simulate  # nilearn, which takes a second to import

    source = dataset.spec["source"]
    parameters = source.get("parameters", {})
    basis = json.dumps([parameters, code_digest(GENERATORS[source["generator"]])], sort_keys=True)
    version = hashlib.sha256(basis.encode()).hexdigest()[:8]
    folder = folder / f"{source['generator']}-seed{seed}-{version}"
    files = {subject: folder / f"{subject}_T1w.nii.gz" for subject in subjects}
    missing = [subject for subject in subjects if not files[subject].exists()]
    if missing:
        log_terms(dataset.file_set)
        files |= simulate.cohort(missing, folder, parameters, seed, workers)
    return files
