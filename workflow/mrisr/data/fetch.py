"""Raw scans of a dataset, found, downloaded or made, and checked before anything else runs."""

import csv
import hashlib
import io
import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path

from mrisr.common.errors import InputError, MrisrError
from mrisr.common.files import sha256, write_text
from mrisr.common.http import Refused, alone
from mrisr.common.progress import progress
from mrisr.common.provenance import code_digest
from mrisr.data.datasets import Dataset
from mrisr.data.downloads import Downloads, log_terms
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
        files = dataset.local_files(split)
        check = partial(_check_local, dataset, files)
        scans = _each(check, list(files), description, workers)
    elif dataset.kind == "bundled":
        files = _simulate(dataset, subjects, folder, seed, workers)
        url = f"{dataset.code}:{dataset.spec['source']['generator']}"
        scans = _each(lambda s: _check(dataset, s, files[s], url), subjects, description, workers)
    else:
        # One process at a time: train and test are jobs of their own, and studies share it.
        with alone(folder):
            downloads = Downloads(dataset, folder, partial(_check, dataset))
            try:
                scans = _each(downloads.get, subjects, description, workers)
            finally:
                downloads.report()
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
    return [done[subject] for subject in subjects]


def _check(dataset: Dataset, subject: str, path: Path, url: str = "n/a") -> Scan:
    """Hold a file against what is published about it, and look at its header."""
    report = checks.header(path, dataset.format(subject))
    if report.shape is not None:
        published = dataset.checksums.get(subject, {})
        report.problems[:0] = checks.published_problems(path, published, dataset.publisher)
    report.refuse()
    for note in report.notes:
        log.warning("%s: %s: %s", subject, path, note)
    return Scan(subject, str(path), url, report.bytes, sha256(path))


def _check_local(dataset: Dataset, files: dict[str, Path], name: str) -> Scan:
    return _check(dataset, name, files[name])


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
    basis = json.dumps([parameters, code_digest(dataset.code)], sort_keys=True)
    version = hashlib.sha256(basis.encode()).hexdigest()[:8]
    folder = folder / f"{source['generator']}-seed{seed}-{version}"
    files = {subject: folder / f"{subject}_T1w.nii.gz" for subject in subjects}
    missing = [subject for subject in subjects if not files[subject].exists()]
    if missing:
        log_terms(dataset)
        files |= simulate.cohort(missing, folder, parameters, seed, workers)
    return files
