"""Scans that are published as one tar archive: downloaded once, verified, taken out one by one."""

import logging
import shutil
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mrisr.common.errors import InputError
from mrisr.common.files import checksum
from mrisr.common.http import Refused, alone, download
from mrisr.data.finding import match_subject

log = logging.getLogger("mrisr")


class Archive:
    """The scans in an archive.

    The archive stays, for subjects that are asked for later.

    Attributes:
        address: Where subjects are listed, for messages.
    """

    def __init__(self, source: Mapping, folder: Path, offline: str):
        """Describe an archive; it is downloaded when something is asked of it.

        Args:
            source: `archive` with `url` and `md5` or `sha256`, and `pattern`, a scan's path in the
                archive with `{subject}`.
            folder: Where the archive goes.
            offline: What else to do where there is no network, for messages.
        """
        about = source["archive"]
        self.address, self.pattern, self.offline = about["url"], source["pattern"], offline
        self.kind = "sha256" if "sha256" in about else "md5"
        self.digest = about[self.kind].lower()
        self.path = folder / about["url"].rsplit("/", 1)[1]
        self.guard = threading.Lock()
        self.members: dict[str, tarfile.TarInfo] = {}
        self.tar: tarfile.TarFile | None = None

    def url(self, subject: str) -> str:
        """Return the archive's address and the scan's path in it."""
        return f"{self.address}#{self.pattern.replace('{subject}', subject)}"

    def download(self, subject: str, part: Path) -> None:
        """Take a scan out of the archive, which is downloaded if need be.

        The caller holds the folder's lock.

        Raises:
            InputError: The archive cannot be had or read, or has no such file.
        """
        name = self.pattern.replace("{subject}", subject)
        with self.guard:  # one file, one position in it
            tar = self._open()
            if name not in self.members:
                raise InputError(f"{self.path} has no file {name}; check the subject's name")
            part.parent.mkdir(parents=True, exist_ok=True)
            try:
                # Only its bytes are taken: what the archive says about paths and owners is not.
                packed = tar.extractfile(self.members[name])
                if packed is None:  # a link; only regular files are members
                    raise tarfile.ReadError(name)
                with packed, part.open("wb") as file:
                    shutil.copyfileobj(packed, file)
            except (tarfile.TarError, OSError, EOFError) as error:
                raise self._unreadable(error) from None

    def subjects(self) -> dict[str, dict]:
        """Return every subject that has a scan in the archive, with its `bytes`.

        Holds the folder's lock meanwhile.
        """
        with self.guard, alone(self.path.parent):
            self._open()
        named = ((match_subject(self.pattern, name), name) for name in self.members)
        return {subject: {"bytes": self.members[name].size} for subject, name in named if subject}

    def _open(self) -> tarfile.TarFile:
        if self.tar is not None:
            return self.tar
        if not self.path.exists():
            self._fetch()
        elif (found := checksum(self.path, self.kind)) != self.digest:
            raise InputError(
                f"{self.path}: its {self.kind} is {found} where {self.digest} is published; delete"
                " it and run again"
            )
        try:
            tar = tarfile.open(self.path)  # noqa: SIM115, it stays open
            members = {str(PurePosixPath(m.name)): m for m in tar.getmembers() if m.isreg()}
        except (tarfile.TarError, OSError, EOFError) as error:
            raise self._unreadable(error) from None
        self.tar, self.members = tar, members
        return tar

    def _fetch(self) -> None:
        part = self.path.with_name(f"{self.path.name}.part")
        for continued in (part.exists(), False):
            log.info("%s: downloading to %s", self.address, self.path)
            offline = f"put the archive at {self.path}, or {self.offline}"
            download(self.address, part, offline=offline, absent="check the archive's url")
            found = checksum(part, self.kind)
            if found == self.digest:
                part.replace(self.path)
                return
            part.unlink()
            if not continued:
                break
            log.warning("%s: not continued correctly; starting anew", self.path)
        reason = f"its {self.kind} is {found} where {self.digest} is published"
        raise Refused(
            f"{self.address}: {reason}; run again, and if it comes again ask the publisher", reason
        )

    def _unreadable(self, error: Exception) -> InputError:
        return InputError(
            f"{self.path}: cannot be read as a tar archive ({error}); delete it and run again"
        )
