"""Scans that are downloaded: from the web, a bucket or an archive, all held to the same rules.

What a download is held against: the checksums in the dataset's TSV; where none is published,
those recorded when the file was first downloaded (trust on first use).
"""

import csv
import gzip
import logging
import re
import threading
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pooch
import urllib3

from mrisr.common.errors import InputError
from mrisr.common.files import checksum, write_text
from mrisr.common.http import Unreachable, download
from mrisr.data.file_set import FileSet
from mrisr.data.tar import Archive

log = logging.getLogger("mrisr")

CHUNK = 1 << 20
OFFLINE = "give a copy on disk with the dataset's folder in the config"


class Source(Protocol):
    """Where the scans of a dataset come from.

    `address` names it in messages.
    """

    address: str

    def url(self, subject: str) -> str:
        """Return the address of a subject's scan."""

    def download(self, subject: str, part: Path) -> str | None:
        """Bring a scan to `part`, going on with what is there; return its MD5 if stated."""

    def subjects(self) -> dict[str, dict]:
        """Return all subjects, with what is stated about the file of each."""


class Web:
    """Scans with an address each."""

    def __init__(self, source: Mapping):
        """Describe them by `url`, with `{subject}`."""
        self.address = source["url"]

    def url(self, subject: str) -> str:
        """Return the address of a subject's scan."""
        return self.address.replace("{subject}", subject)

    def download(self, subject: str, part: Path) -> str | None:
        """Download a scan to `part`, see `mrisr.common.http.download`."""
        absent = "check the subject's name and the dataset's url"
        return download(self.url(subject), part, offline=OFFLINE, absent=absent)

    def subjects(self) -> dict[str, dict]:
        """Refuse: addresses cannot be listed."""
        raise InputError(
            f"{self.address}: a web server does not list its files; name the subjects in a TSV"
        )


def source(files: FileSet, folder: Path) -> Source:
    """Return where files are downloaded from.

    Args:
        files: From the web, an archive or a bucket.
        folder: Where they are downloaded to.
    """
    about = files.source
    if about["kind"] == "s3":
        from mrisr.data.s3 import Bucket  # boto3, which takes a while to import

        return Bucket(about, files.access, OFFLINE)
    return Archive(about, folder, OFFLINE) if "archive" in about else Web(about)


def log_terms(files: FileSet) -> None:
    """Say under which terms files may be used."""
    log.info("%s: %s", files.label, files.terms)


class Downloads:
    """Downloads of one set of files into one folder, whose lock the caller holds."""

    def __init__(self, files: FileSet, folder: Path, check: Callable[[str, Path, str], Any]):
        """Read what was recorded at earlier downloads.

        Args:
            files: What is downloaded.
            folder: Files go there under the source's pattern, beside `checksums.tsv`.
            check: Takes a subject, its file and its address, refuses with InputError what is no
                usable scan, and returns something with `bytes` and `sha256`.
        """
        self.files, self.folder, self.check = files, folder, check
        self.table = folder / "checksums.tsv"
        self.recorded = self._read_table()
        self.guard = threading.Lock()
        self.new = 0
        self.source = source(files, folder)
        self.started = self.arrived = False
        self.unreachable: str | None = None
        pooch.get_logger().setLevel(logging.WARNING)  # it would log every file

    def get(self, subject: str) -> Any:
        """Return the checked scan of a subject, downloaded unless it is there and correct."""
        name = self.files.source["pattern"].replace("{subject}", subject)
        target = self.folder / name
        url = self.source.url(subject)
        published = self.files.checksums.get(subject, {})
        known, why = None, ""
        if "sha256" in published or "md5" in published:
            kind = "sha256" if "sha256" in published else "md5"
            known, why = f"{kind}:{published[kind]}", f"stated in {self.files.stated_in}"
        elif name in self.recorded:
            known = f"sha256:{self.recorded[name][1]}"
            why = f"recorded in {self.table} at the first download (if the publisher replaced the"
            why += " file and you trust the new one, delete its line there)"
        if known is None and target.exists():
            # Left by a run that was killed before it recorded it, or put there by hand.
            try:
                _check_content(target, target)
                self.check(subject, target, url)
            except InputError as error:
                log.warning("%s; downloading it again", error)
                target.unlink(missing_ok=True)
        self._retrieve(subject, url, target, known, why)
        try:
            scan = self.check(subject, target, url)
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
                "%s: no published checksums of single files; those of %d files are recorded in %s"
                " at this first download and verified from now on",
                self.files.name,
                self.new,
                self.table,
            )

    def _retrieve(self, subject: str, url: str, target: Path, known: str | None, why: str) -> None:
        part = target.with_name(f"{target.name}.part")
        if known is None and target.suffix != ".gz":
            # Neither a checksum nor gzip's CRC would tell if halves of two versions met.
            part.unlink(missing_ok=True)

        def downloader(url: str, temporary: str, _pooch: object) -> None:
            with self.guard:
                if not self.started:
                    self.started = True
                    log_terms(self.files)
            if self.unreachable:
                raise InputError(f"{url}: not tried, as {self.unreachable} was not reached")
            if target.exists():
                log.warning("%s: has not the checksum %s; downloading it again", target, why)
            try:
                stated = self.source.download(subject, part)
            except Unreachable:
                if not self.arrived:
                    self.unreachable = urllib3.util.parse_url(url).netloc
                raise
            self.arrived = True
            if stated is not None and (found := checksum(part, "md5")) != stated:
                part.unlink()
                raise InputError(
                    f"{url}: damaged on its way: its md5 is {found} where the server states"
                    f" {stated}; run again"
                )
            _check_content(part, target)
            part.replace(temporary)

        continued = part.exists()
        try:
            pooch.retrieve(url, known, target.name, target.parent, downloader=downloader)
        except (ValueError, InputError) as error:
            if continued and not part.exists():
                log.warning("%s: %s; starting anew, not from what was left", target, error)
                self._retrieve(subject, url, target, known, why)
            elif known is not None and isinstance(error, ValueError):
                found = re.search("got ([0-9a-f]+)", str(error))
                raise InputError(
                    f"{url}: not the checksum {why}: {known.replace(':', ' ')} is expected, found"
                    f" {found[1] if found else error}; run again, and if it stays so ask the"
                    " publisher whether the file was replaced"
                ) from None
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

    def _record(self, name: str, scan: Any) -> None:
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
