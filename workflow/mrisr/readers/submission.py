"""What a page sends as an answer, checked."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mrisr.common.errors import MrisrError
from mrisr.readers.folder import SCORES

#: Bytes that an answer may have; those of the page have some 150.
LIMIT = 4096
DAY = 86_400
_KEYS = ("id", "scores", "seconds", "revision")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Refused(MrisrError):
    """A submission cannot be taken; the message names the field."""


@dataclass(frozen=True)
class Submission:
    """An answer as a page sent it.

    Attributes:
        id: UUID that the page drew for it.
        scores: By question.
        seconds: That the case was on screen since the answer before.
        revision: Revision of the answer that it changes, 0 for none.
    """

    id: str
    scores: dict[str, int]
    seconds: float
    revision: int


def parse(body: bytes, questions: Sequence[str]) -> Submission:
    """Return the submission in a request's body.

    Args:
        body: JSON, at most `LIMIT` bytes.
        questions: Keys of the study's questions; each must be answered.

    Raises:
        Refused: A field is missing, unknown, or holds what it cannot hold.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("body: is not JSON") from None
    if not isinstance(said, dict):
        raise Refused("body: is not an object")
    _same("body", said, _KEYS)
    scores, seconds, revision = said["scores"], said["seconds"], said["revision"]
    if not isinstance(said["id"], str) or not _ID.fullmatch(said["id"]):
        raise Refused("id: is not a UUID in lower case")
    if not isinstance(scores, dict):
        raise Refused("scores: is not an object")
    _same("scores", scores, questions)
    for name in questions:
        if type(scores[name]) is not int or scores[name] not in SCORES:
            raise Refused(f"scores.{name}: is not one of -2, -1, 0, 1, 2")
    if type(seconds) not in (int, float) or not (math.isfinite(seconds) and 0 <= seconds <= DAY):
        raise Refused(f"seconds: is not a number from 0 to {DAY}")
    if type(revision) is not int or not 0 <= revision < 10**6:
        raise Refused("revision: is not a whole number from 0")
    return Submission(said["id"], {key: scores[key] for key in questions}, seconds, revision)


def _same(where: str, said: dict, keys: Sequence[str]) -> None:
    for key in keys:
        if key not in said:
            raise Refused(f"{where}: lacks {key}")
    if len(said) > len(keys):
        raise Refused(f"{where}: holds more than {', '.join(keys)}")
