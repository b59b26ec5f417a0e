"""Downloads that continue where they broke off, and never leave half a file under its name."""

import logging
import queue
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import requests
import urllib3
from filelock import FileLock, Timeout

from mrisr.common.errors import InputError
from mrisr.common.files import sha256 as digest
from mrisr.common.redact import safe

log = logging.getLogger("mrisr")

T = TypeVar("T")

RETRIES = 3
BACK_OFF = 1.0  # seconds before the first retry; doubles with each
TIMEOUT = (10, 60)  # seconds to connect, and without a byte
HEADER_SECONDS = 120  # until an answer begins, redirections included
# A server that sends a byte a minute would otherwise hold the lock of the folder for ever.
SLOWEST, SLOW_SECONDS = 1000, 60  # bytes a second, as the mean of so many seconds
CHUNK = 1 << 20
RESERVE = 100_000_000  # bytes of the disk that downloads leave free
REPORT_EVERY = 10  # seconds between messages about one long download


class DownloadError(InputError):
    """A file could not be downloaded.

    Attributes:
        reason: What went wrong in a few words, without the address and without advice.
    """

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


class Unreachable(DownloadError):
    """No connection to the host."""


class Refused(DownloadError):
    """The host refuses this user, so that no other file of the host would come either."""


class Retry(Exception):
    """Worth another try."""


def retrieve(url: str, target: str | Path, sha256: str) -> None:
    """Download one file with a known checksum, unless a correct one exists.

    If `target` has another checksum, it is replaced once the right file has arrived. An interrupted
    download (`<target>.part`) is continued. Several processes may ask for the same file.

    Args:
        url: `http` or `https` address.
        target: Path of the file.
        sha256: SHA-256 of the file, in hexadecimal.

    Raises:
        DownloadError: Not reached, refused, broken off, or not the file with this checksum.
        OSError: `target` cannot be written.
    """
    target = Path(target)
    part = target.with_name(f"{target.name}.part")
    with alone(target.parent):
        if target.exists():
            if digest(target) == sha256:
                return
            log.warning("%s: its sha256 is not %s; downloading it again", target, sha256)
        for continued in (part.exists(), False):
            log.info("%s: downloading to %s", url, target)
            download(url, part, offline=f"put the file at {target}", absent="check the address")
            found = digest(part)
            if found == sha256:
                part.replace(target)
                return
            web_page = _is_web_page(part)
            part.unlink()
            if not continued:
                break
            log.warning("%s: not continued correctly; starting anew", target)
    reason = "the server sent a web page" if web_page else f"what arrived has the sha256 {found}"
    raise DownloadError(f"{url}: {reason}, where the sha256 {sha256} is expected", reason)


def _is_web_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(512).lstrip()[:1] == b"<"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a download folder, made if need be; waits while another process does."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("%s: another process downloads to it; waiting", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def download(url: str, part: Path, *, offline: str, absent: str) -> str | None:
    """Download `url` to `part`, continuing an earlier attempt.

    The caller must check the content: the earlier attempt may belong to another file.

    Args:
        url: `http` or `https` address.
        part: Path of the unfinished file; its folder is made if need be.
        offline: What else to do without network or account, for the message.
        absent: What to do if the server has no such file, for the message.

    Returns:
        The MD5 that the server states for the file, or None.

    Raises:
        Unreachable: No connection to the host.
        DownloadError: Refused, or broken off again and again.
    """
    return retried(
        lambda: _continue(url, part, offline, absent),
        url,
        offline,
        transient=(requests.RequestException, urllib3.exceptions.HTTPError),
        unreachable=(requests.ConnectionError,),
    )


def retried(
    work: Callable[[], T],
    url: str,
    offline: str,
    transient: tuple[type[Exception], ...],
    unreachable: tuple[type[Exception], ...],
    secrets: Iterable[str] = (),
) -> T:
    """Do `work`, which continues where it broke off, several times if need be.

    Args:
        work: Downloads one file, or a list.
        url: What is downloaded, for messages.
        offline: What else to do where there is no network, for the message.
        transient: Errors worth another try, beside `Retry`.
        unreachable: Those of them that mean that there was no connection.
        secrets: Texts that must not stand in a message.

    Raises:
        Unreachable: No connection in the last try.
        DownloadError: Another transient error in the last try.
    """
    url = safe(url, secrets)
    for attempt in range(RETRIES + 1):
        try:
            return work()
        except (Retry, *transient) as error:  # type: ignore[misc]
            cause, problem = error, network_problem(error, secrets)
        if attempt < RETRIES:
            log.info("%s: %s; trying again", url, problem)
            time.sleep(BACK_OFF * 2**attempt)
    tries = f"after {RETRIES + 1} tries"
    if isinstance(cause, unreachable):
        raise Unreachable(
            f"{url}: no connection {tries}: {problem}; compute nodes often have none: run this job"
            f" where there is one, or {offline}",
            f"no connection {tries}",
        )
    raise DownloadError(
        f"{url}: download failed {tries}: {problem}; run again, it goes on from what is there",
        f"download failed {tries}: {problem}",
    )


def network_problem(error: Exception, secrets: Iterable[str] = ()) -> str:
    """Return the problem in words, without the wrapping of libraries, and without secrets.

    This is the only place that puts network errors into words.

    Args:
        error: Error of `requests`, `urllib3` or `botocore`, or `Retry`.
        secrets: Keys that must not be shown, beside those of the environment.
    """
    text = str(getattr(error, "kwargs", {}).get("error") or error)  # botocore's cause is there
    if not isinstance(error, Retry):
        if "timed out" in text or "timeout" in text.lower():
            return "no answer in time"
        if "IncompleteRead" in text or "bytes expected" in text:
            return "the connection broke off"
        if "Invalid header value" in text:  # the value follows, which may be a key
            return "a key, name or address has characters that cannot be sent"
        system = re.search(r"\[Errno -?\d+\] ([^'\")]+)", text)
        text = system[1] if system else text
    return safe(text, secrets)


def arriving(stream: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield bytes as soon as a server sends them; `read` and `stream` wait for a full chunk.

    Args:
        stream: The answer with its content not decoded, so that a .nii.gz stays packed.
    """
    while chunk := stream.read1(CHUNK, decode_content=False):
        yield chunk


def receive(
    chunks: Iterable[bytes], part: Path, url: str, size: int | None, append: bool = False
) -> None:
    """Write arriving bytes to `part`; report the progress now and then if it takes long.

    Args:
        chunks: The bytes.
        part: Path of the unfinished file; its folder is made if need be.
        url: What is downloaded, for messages.
        size: Bytes of the whole file, if known.
        append: Whether `part` holds the bytes before these.

    Raises:
        DownloadError: The disk has no room for it.
        Retry: Less or more arrived, or it arrived too slowly; surplus bytes are removed.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    last = since = time.monotonic()
    arrived = 0
    have = part.stat().st_size if append else 0
    room = shutil.disk_usage(part.parent).free - RESERVE
    if size is not None and size - have > room:
        reason = f"{(size - have) / 1e6:.0f} MB are to come, more than the disk has room for"
        raise DownloadError(f"{safe(url)}: {reason}; free some space", reason)
    with part.open("ab" if append else "wb") as file:
        for chunk in chunks:
            file.write(chunk)
            if file.tell() - have > room:  # the server did not state the file's size
                reason = "the server sends more than the disk has room for"
                raise DownloadError(f"{safe(url)}: {reason}; check the address", reason)
            arrived += len(chunk)
            now = time.monotonic()
            if now - since > SLOW_SECONDS:
                if arrived < SLOWEST * (now - since):
                    raise Retry(f"fewer than {SLOWEST} bytes a second for {SLOW_SECONDS} seconds")
                since, arrived = now, 0
            if now - last > REPORT_EVERY:
                last = now
                of = f" of {size / 1e6:.0f}" if size else ""
                log.info("%s: %.0f%s MB", url, file.tell() / 1e6, of)
    got = part.stat().st_size
    if size is not None and got != size:
        if got > size:
            part.unlink()
        raise Retry(f"{got} of {size} bytes arrived")


def stated_md5(etag: str | None, encryption: str | None = None) -> str | None:
    """Return the MD5 that an S3 server states as a file's ETag, or None.

    An upload in several parts, or one encrypted with a managed key, has an ETag of another kind.
    """
    etag = (etag or "").strip('"')
    plain = encryption in (None, "", "AES256")
    return etag if plain and re.fullmatch("[0-9a-f]{32}", etag) else None


def _continue(url: str, part: Path, offline: str, absent: str) -> str | None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with _begun(url, headers) as answer:
        code = answer.status_code
        total = re.search(r"/(\d+)$", answer.headers.get("Content-Range", ""))
        if code == 416 and have:
            if total and int(total[1]) == have:
                return None
            part.unlink()
            raise Retry("what is left of an earlier attempt does not fit the file")
        if code in (408, 429) or code >= 500:
            raise Retry(f"HTTP {code} {answer.reason}")
        if code not in (200, 206):
            account = {401: "it needs an account", 403: "it may need an account"}.get(code)
            hint = f"{account}: {offline}" if account else absent
            reason = safe(f"HTTP {code} {answer.reason}")
            raise DownloadError(f"{safe(url)}: {reason}; {hint}", reason)
        if code == 206:
            start = re.match(rf"bytes {have}-", answer.headers.get("Content-Range", ""))
            if not (have and start):
                part.unlink(missing_ok=True)
                raise Retry("the server sent another part than was asked for")
            size = int(total[1]) if total else None
        else:
            size = int(answer.headers["Content-Length"]) if _sized(answer) else None
        receive(arriving(answer.raw), part, url, size, code == 206)
        if answer.headers.get("Server") != "AmazonS3":
            return None
        return stated_md5(
            answer.headers.get("ETag"), answer.headers.get("x-amz-server-side-encryption")
        )


def _begun(url: str, headers: dict[str, str]) -> requests.Response:
    """Return an answer once its headers are there; the time limit is for all headers together.

    Raises:
        Retry: The headers did not come in time.
    """
    came: queue.Queue[requests.Response | Exception] = queue.Queue()

    def ask() -> None:
        try:
            came.put(requests.get(url, headers=headers, stream=True, timeout=TIMEOUT))
        except Exception as error:  # for the one who waits
            came.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = came.get(timeout=HEADER_SECONDS)
    except queue.Empty:
        raise Retry("no answer in time") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _sized(answer: requests.Response) -> bool:
    return answer.headers.get("Content-Length", "").isdigit()
