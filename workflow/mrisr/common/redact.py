"""Text from elsewhere, made safe to show: without secrets or characters that steer a terminal."""

import os
import re
from collections.abc import Iterable

HIDDEN = "***"
# Shorter secrets would hide parts of ordinary words.
SHORTEST = 6
_NAMED = re.compile(r"secret|token|password|access_key|api_key", re.IGNORECASE)
# `user:password@`, also in a malformed address without `//`.
_USER = re.compile(r"(?P<before>^|[/\s'\"(=])[^/\s'\"(=@]+:(?!//)[^\s'\"@]*@(?=[^\s@])")
_USER_ALONE = re.compile(r"://[^/\s'\"@]+@")
_FIELD = re.compile(
    r"(?P<name>[\w.-]*(?:signature|credential|security-token|session-token|secret|password"
    r"|access_?key(?:_?id)?|api_?key|\btoken|\bsig)[\w-]*[\"']?\s*[=:]\s*[\"']?)[^\s&,;\"'<>)]+",
    re.IGNORECASE,
)
_AUTHORIZATION = re.compile(r"(?P<name>authorization[\"']?\s*[=:]\s*).*", re.IGNORECASE)
_SCHEME = re.compile(r"(?P<name>\b(?:AWS4-HMAC-SHA256|Bearer|Basic)\s+)[^\"'\s].*")


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without passwords, keys, tokens and signatures.

    Args:
        text: Text of a library or a server.
        secrets: Known secrets, in addition to those of the environment.
    """
    known = {secret for given in (*secrets, *_environment()) for secret in _forms(given)}
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _SCHEME.sub(rf"\g<name>{HIDDEN}", text)
    text = _AUTHORIZATION.sub(rf"\g<name>{HIDDEN}", text)
    text = _USER.sub(rf"\g<before>{HIDDEN}@", text)
    text = _USER_ALONE.sub(f"://{HIDDEN}@", text)
    return _FIELD.sub(rf"\g<name>{HIDDEN}", text)


def printable(text: str) -> str:
    r"""Return a text with control characters written out, as `\x1b`; line ends and tabs stay."""
    return "".join(
        char if char in "\n\t" or char.isprintable() else char.encode("unicode_escape").decode()
        for char in text
    )


def safe(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text of another program or machine as one line that may be shown to anybody."""
    return printable(" ".join(redacted(text, secrets).split()))


def _environment() -> list[str]:
    return [value for name, value in os.environ.items() if _NAMED.search(name)]


def _forms(secret: str) -> list[str]:
    """Return the forms of a secret in a text: as it is, trimmed, and with escapes."""
    forms = {secret, secret.strip(), secret.encode("unicode_escape").decode()}
    return [form for form in forms if len(form) >= SHORTEST]
