"""What mrisr asks of S3, on this machine: objects with Range, listings in pages, refused keys."""

import hashlib
import re
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from conftest import Handler

KEY, SECRET = "AKIATHEUSERSOWNKEY00", "the-users-own-secret-that-nobody-sees"
BUCKET = "brains"
PAGE = 3
# Access keys that a test may use to be refused, and how.
REFUSED = {
    "AKIAWRONGSECRET": (403, "SignatureDoesNotMatch"),
    "AKIAEXPIRED": (400, "ExpiredToken"),
    "AKIANORIGHTS": (403, "AccessDenied"),
}


class S3Handler(Handler):
    """Objects are `server.files["/brains/<key>"]`; their ETag is the MD5 unless set."""

    def do_GET(self):
        self.answer(super().do_GET)

    def do_HEAD(self):
        self.answer(self.describe)

    def answer(self, send):
        given = re.search(r"Credential=([^/,]+)/", self.headers.get("Authorization", ""))
        given = given[1] if given else ""
        parts = urlsplit(self.path)
        self.path = unquote(parts.path)
        if given != KEY:
            return self.refuse(*REFUSED.get(given, (403, "InvalidAccessKeyId")))
        if self.path.split("/")[1] != BUCKET:
            return self.refuse(404, "NoSuchBucket")
        query = parse_qs(parts.query)
        if "list-type" in query:
            self.server.requests.append((f"list {self.path}", query["prefix"][0]))
            return self.list(query)
        if self.path in self.server.files:
            body = self.server.files[self.path]
            self.server.etags.setdefault(self.path, f'"{hashlib.md5(body).hexdigest()}"')
        send()

    def describe(self):
        self.server.requests.append((f"head {self.path}", None))
        body = self.server.files.get(self.path)
        if body is None:
            return self.refuse(404, "NoSuchKey")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self.server.etags[self.path])
        self.end_headers()

    def list(self, query):
        prefix, after = query["prefix"][0], query.get("continuation-token", [""])[0]
        keys = [path.removeprefix(f"/{BUCKET}/") for path in self.server.files]
        folders = {
            prefix + key.removeprefix(prefix).split("/")[0] + "/"
            for key in keys
            if key.startswith(prefix) and "/" in key.removeprefix(prefix)
        }
        left = sorted(folder for folder in folders if folder > after)
        more = (
            "<IsTruncated>true</IsTruncated>"
            f"<NextContinuationToken>{escape(left[PAGE - 1])}</NextContinuationToken>"
            if len(left) > PAGE
            else "<IsTruncated>false</IsTruncated>"
        )
        found = "".join(
            f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
            for folder in left[:PAGE]
        )
        self.xml(200, f"<ListBucketResult>{more}{found}</ListBucketResult>")

    def send_error(self, status, *_):
        self.refuse(status, {404: "NoSuchKey", 503: "SlowDown"}[status])

    def refuse(self, status, code):
        self.xml(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>")

    def xml(self, status, text):
        body = f'<?xml version="1.0"?>{text}'.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
