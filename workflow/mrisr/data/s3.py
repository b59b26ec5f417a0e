"""Files in an S3 bucket that is read with the user's own keys.

Keys come from where all AWS tools look (`AWS_PROFILE`, `AWS_ACCESS_KEY_ID` and
`AWS_SECRET_ACCESS_KEY`, `~/.aws`); they are held by boto3 alone and stand in no message, log or
result. `AWS_ENDPOINT_URL_S3` names another server.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import boto3
import urllib3
from botocore import exceptions
from botocore.config import Config
from botocore.credentials import RefreshableCredentials

from mrisr.common.http import (
    TIMEOUT,
    DownloadError,
    Refused,
    Retry,
    arriving,
    network_problem,
    receive,
    retried,
    stated_md5,
)
from mrisr.common.progress import progress
from mrisr.common.redact import safe
from mrisr.data.finding import match_subject

T = TypeVar("T")
# It would say at each start where it found the keys.
logging.getLogger("botocore").setLevel(logging.WARNING)

CONNECTIONS = 16
ABSENT = ("NoSuchKey", "404")
WRONG_KEYS = {
    "InvalidAccessKeyId": "the access key is unknown",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "AuthorizationHeaderMalformed": "the keys or the region are malformed",
    "InvalidToken": "the session token is not valid",
    "ExpiredToken": "the keys have expired",
    "TokenRefreshRequired": "the keys have expired",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "AccessDenied": "access denied: the keys lack the right to read it",
    "403": "access denied: the keys are wrong, or lack the right to read it",
}
UNREACHABLE = (exceptions.ConnectionError, exceptions.ConnectTimeoutError)
TRANSIENT = (
    *UNREACHABLE,
    exceptions.HTTPClientError,
    exceptions.IncompleteReadError,
    exceptions.ReadTimeoutError,
    exceptions.ResponseStreamingError,
    urllib3.exceptions.HTTPError,
)


class Bucket:
    """The scans of one dataset in a bucket.

    Attributes:
        address: Where subjects are listed, for messages.
    """

    def __init__(self, source: Mapping, access: str, offline: str):
        """Describe the scans; keys are looked for when something is asked of the server.

        Args:
            source: `bucket`, `key` with `{subject}`, `region`, and maybe `profile`.
            access: How to get keys, for messages.
            offline: What else to do where there is no network, for messages.
        """
        self.bucket, self.key = source["bucket"], source["key"]
        self.region, self.profile = source["region"], source.get("profile")
        self.access, self.offline = access, offline
        self.address = f"s3://{self.bucket}/{self.key.split('{subject}')[0]}"
        self.guard = threading.Lock()
        self._client: Any = None
        self._secrets: list[str] = []

    @property
    def client(self) -> Any:
        """The connection to the server, with the user's keys.

        Raises:
            Refused: There are no keys, or not the profile.
        """
        config = Config(
            connect_timeout=TIMEOUT[0],
            read_timeout=TIMEOUT[1],
            max_pool_connections=CONNECTIONS,
            # Tries are counted in one place, for all kinds of downloads.
            retries={"total_max_attempts": 1},
            response_checksum_validation="when_required",
        )
        with self.guard:
            if self._client is None:
                try:
                    session = boto3.Session(profile_name=self.profile)
                    keys = self._keys(session)
                    client = session.client("s3", self.region, config=config, **keys)
                except (exceptions.BotoCoreError, ValueError) as error:
                    raise self._unusable(error) from None
                self._client = client
            return self._client

    def _keys(self, session: Any) -> dict[str, str]:
        """Return the user's keys without line ends around them, as arguments of a client.

        Keys that are renewed while they are used are left to boto3.

        Raises:
            Refused: There are none, or one has characters that no key has.
        """
        found = session.get_credentials()
        if found is None:
            raise self._refused("no AWS keys found")
        frozen = found.get_frozen_credentials()
        given = {
            "aws_access_key_id": frozen.access_key,
            "aws_secret_access_key": frozen.secret_key,
            "aws_session_token": frozen.token,
        }
        self._secrets[:] = filter(None, given.values())
        # Files edited on Windows end their lines in CR, which no HTTP header may hold.
        keys = {name: value.strip() for name, value in given.items() if value}
        for name, value in keys.items():
            if not (value.isascii() and value.isprintable()) or " " in value:
                raise self._refused(f"{name} has blanks or characters that no key has")
        return {} if isinstance(found, RefreshableCredentials) else keys

    def url(self, subject: str) -> str:
        """Return the address of a subject's scan."""
        return f"s3://{self.bucket}/{self.key.replace('{subject}', subject)}"

    def download(self, subject: str, part: Path) -> str | None:
        """Download a scan to `part`, see `mrisr.common.http.download`."""
        key = self.key.replace("{subject}", subject)
        return self._try(lambda: self._continue(key, part), key)

    def subjects(self) -> dict[str, dict]:
        """Return every subject that has a scan: its `bytes`, and its `md5` if the server states it.

        One listing names the folders; then the server is asked about the scan of each, as many
        have none.
        """
        prefix, rest = self.key.split("{subject}", 1)
        if not rest.startswith("/"):
            raise ValueError(f"{self.key}: {{subject}} must be a folder")
        names = sorted(
            filter(None, (match_subject(f"{prefix}{{subject}}/", f) for f in self._folders(prefix)))
        )
        found: dict[str, dict] = {}
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            done = pool.map(self._about, names)
            pairs = progress(zip(names, done, strict=True), f"list {self.address}", len(names))
            for subject, about in pairs:
                if about is not None:
                    found[subject] = about
        return found

    def _folders(self, prefix: str) -> Iterator[str]:
        after: dict[str, str] = {}
        while True:
            where = {"Bucket": self.bucket, "Prefix": prefix, "Delimiter": "/", **after}
            page = self._try(partial(self.client.list_objects_v2, **where), prefix)
            yield from (entry["Prefix"] for entry in page.get("CommonPrefixes", ()))
            if not page.get("IsTruncated"):
                return
            after = {"ContinuationToken": page["NextContinuationToken"]}

    def _about(self, subject: str) -> dict | None:
        key = self.key.replace("{subject}", subject)
        try:
            answer = self._try(lambda: self.client.head_object(Bucket=self.bucket, Key=key), key)
        except _Absent:
            return None
        md5 = stated_md5(answer.get("ETag"), answer.get("ServerSideEncryption"))
        return {"bytes": answer["ContentLength"]} | ({"md5": md5} if md5 else {})

    def _continue(self, key: str, part: Path) -> str | None:
        have = part.stat().st_size if part.exists() else 0
        wanted = {"Range": f"bytes={have}-"} if have else {}
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=key, **wanted)
        except exceptions.ClientError as error:
            if not have or _code(error) not in ("InvalidRange", "416"):
                raise
            answer = self.client.head_object(Bucket=self.bucket, Key=key)
            if answer["ContentLength"] != have:
                part.unlink()
                raise Retry("what is left of an earlier attempt does not fit the file") from None
        else:
            start, size = 0, answer["ContentLength"]
            if "ContentRange" in answer:
                span, total = answer["ContentRange"].removeprefix("bytes ").split("/")
                start, size = int(span.split("-")[0]), int(total)
            if start not in (0, have):
                part.unlink()
                raise Retry("the server sent another part than was asked for")
            # botocore's own readers wait until a chunk is full, however slowly it comes.
            chunks = arriving(answer["Body"]._raw_stream)
            receive(chunks, part, f"s3://{self.bucket}/{key}", size, append=start > 0)
        return stated_md5(answer.get("ETag"), answer.get("ServerSideEncryption"))

    def _try(self, work: Callable[[], T], key: str) -> T:
        """Do `work`, again if it may help; put what the server answers into words."""
        url = f"s3://{self.bucket}/{key}"

        def told() -> T:
            try:
                return work()
            except exceptions.ClientError as error:
                raise self._explained(error, url) from None
            except TRANSIENT:
                raise
            except exceptions.BotoCoreError as error:  # e.g. keys of a role that cannot be had
                raise self._unusable(error) from None

        return retried(told, url, self.offline, TRANSIENT, UNREACHABLE, self._secrets)

    def _unusable(self, error: Exception) -> Refused:
        problem = network_problem(error, self._secrets)
        return self._refused(f"the AWS settings cannot be used ({problem})")

    def _explained(self, error: exceptions.ClientError, url: str) -> Exception:
        code = _code(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in ABSENT:
            reason = "the bucket has no such file"
            return _Absent(f"{url}: {reason}; check the subject's name", reason)
        if code == "NoSuchBucket":
            reason = f"no such bucket '{self.bucket}'"
            return Refused(f"{url}: {reason}; check source.bucket in the dataset's file", reason)
        if code == "PermanentRedirect":
            reason = "the bucket is in another region"
            return Refused(f"{url}: {reason}; check source.region in the dataset's file", reason)
        if code in WRONG_KEYS:
            return self._refused(WRONG_KEYS[code])
        if status >= 500 or status in (408, 429):
            return Retry(f"HTTP {status} {code}")
        return DownloadError(f"{url}: the server answers {code}; run again", code)

    def _refused(self, reason: str) -> Refused:
        return Refused(f"s3://{self.bucket}: {reason}; {self.access}", reason)


class _Absent(DownloadError):
    """The bucket has no such file."""


def _code(error: exceptions.ClientError) -> str:
    return safe(str(error.response.get("Error", {}).get("Code", "")))
