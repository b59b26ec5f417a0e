"""Readers and answers of a study, in SQLite: what was acknowledged is on the disk.

Answers are only ever added: each one that is accepted is a row, and the latest of a case counts.
"""

import base64
import hashlib
import json
import random
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from mrisr.common.errors import InputError, MrisrError
from mrisr.readers.folder import ReaderStudy

_SCHEMA = """
CREATE TABLE study (fingerprint TEXT NOT NULL);
CREATE TABLE readers (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  token BLOB NOT NULL UNIQUE,
  added_at TEXT NOT NULL
);
CREATE TABLE cases (
  reader INTEGER NOT NULL REFERENCES readers,
  number INTEGER NOT NULL,
  name TEXT NOT NULL,
  left TEXT NOT NULL,
  right TEXT NOT NULL,
  PRIMARY KEY (reader, number),
  UNIQUE (reader, name)
);
CREATE TABLE answers (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  reader INTEGER NOT NULL,
  name TEXT NOT NULL,
  revision INTEGER NOT NULL,
  submission TEXT NOT NULL,
  scores TEXT NOT NULL,
  seconds REAL NOT NULL,
  answered_at TEXT NOT NULL,
  UNIQUE (reader, submission),
  UNIQUE (reader, name, revision),
  FOREIGN KEY (reader, name) REFERENCES cases (reader, name)
);
"""
_BUSY = 10.0  # seconds to wait for another process that writes
_READ_ONLY = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, *_READ_ONLY)


class Conflict(MrisrError):
    """An answer is based on one that is not the latest.

    Attributes:
        answer: The latest.
    """

    def __init__(self, answer: "Answer | None"):
        super().__init__("the answer was changed meanwhile")
        self.answer = answer


class Reused(MrisrError):
    """A submission's id belongs to another answer."""


class NoSpace(MrisrError):
    """The disk takes no more; nothing was written, and the same answer can be given again."""


@dataclass(frozen=True)
class Reader:
    """A reader.

    Attributes:
        id: Number in the database.
        name: As `mrisr readers reader` was told.
    """

    id: int
    name: str


@dataclass(frozen=True)
class Shown:
    """A case as one reader sees it.

    Attributes:
        number: Place in this reader's order, from 1.
        name: Name of the case.
        left: File of the image on this reader's left.
        right: Likewise.
    """

    number: int
    name: str
    left: str
    right: str


@dataclass(frozen=True)
class Answer:
    """An answer that was accepted.

    Attributes:
        name: Name of the case.
        revision: 1 for the first, 2 once it was changed, and so on.
        scores: By question, -2 to 2: the left image compared with the right one.
        seconds: That the reader had the case on screen since the answer before.
        answered_at: UTC, ISO 8601.
    """

    name: str
    revision: int
    scores: dict[str, int]
    seconds: float
    answered_at: str


class Store:
    """Readers and answers of one study; safe to share between threads, and between processes."""

    def __init__(self, study: ReaderStudy, create: bool = False):
        """Open the database of a study.

        Args:
            study: The study.
            create: Make it if it is not there.

        Raises:
            InputError: It is not there, or belongs to other cases than the study's.
        """
        self.study = study
        self.path = study.answers
        if not create and not self.path.exists():
            raise InputError(
                f"{self.path}: no such file: the study has no readers; add one with"
                f" `mrisr readers reader {study.folder} NAME`"
            )
        self._lock = threading.Lock()
        if not self.path.exists():
            self.path.touch(mode=0o600)  # who read what and when is for its owner
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            shut = getattr(error, "sqlite_errorcode", 0) & 0xFF in _READ_ONLY
            writable = "make it and its folder writable, it is not damaged"
            remedy = writable if shut else "restore a copy"
            raise InputError(f"{self.path}: cannot be used ({error}); {remedy}") from None

    def _open(self) -> None:
        self._db = sqlite3.connect(
            self.path, timeout=_BUSY, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        # A commit returns when the log is on the disk, not before.
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        with self._writing() as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'answers'").fetchone():
                for statement in _SCHEMA.strip().split(";\n"):
                    db.execute(statement)
                db.execute("INSERT INTO study VALUES (?)", [self.study.fingerprint])
            (known,) = db.execute("SELECT fingerprint FROM study").fetchone()
        if known != self.study.fingerprint:
            self._db.close()
            raise InputError(
                f"{self.path}: its readers were given other cases or questions than"
                f" {self.study.folder / 'study.json'} has now; restore that file and images/"
            )

    def close(self) -> None:
        """Close the database; its log is folded into it."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Hold the database for a transaction, which is committed if the block succeeds."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF in _FULL:
                    raise NoSpace(f"{self.path}: cannot be written ({error})") from error
                raise

    def _read(self, query: str, *parameters: object) -> list[tuple]:
        with self._lock:
            return self._db.execute(query, parameters).fetchall()

    def add_reader(self, name: str, count: int | None = None, seed: int | None = None) -> str:
        """Give a reader a link: a new reader their cases too, a known one only the link.

        Every second reader has all sides changed: what somebody prefers a side for is not what
        they prefer a method for.

        Args:
            name: Not empty, printable.
            count: How many cases a new reader gets; None for all.
            seed: What the order follows from, with the name; None to draw it.

        Returns:
            The token of the link; it is not kept, and an earlier one is no longer valid.

        Raises:
            InputError: The name cannot be used, or there are fewer cases than `count`.
        """
        if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > 100:
            raise InputError(f"reader {name!r}: give a name of 1 to 100 printable characters")
        cases = list(self.study.cases)
        if count is not None and not 0 < count <= len(cases):
            raise InputError(f"reader {name}: {count} cases asked for, of {len(cases)}")
        token = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        with self._writing() as db:
            known = db.execute("SELECT id FROM readers WHERE name = ?", [name]).fetchone()
            if known:
                if count is not None:
                    raise InputError(f"reader {name}: has their cases already; leave --cases out")
                db.execute("UPDATE readers SET token = ? WHERE id = ?", [_hash(token), known[0]])
                return token
            (number,) = db.execute("SELECT count(*) FROM readers").fetchone()
            inserted = db.execute(
                "INSERT INTO readers (name, token, added_at) VALUES (?, ?, ?)",
                [name, _hash(token), _now()],
            ).lastrowid
            drawing = random.SystemRandom() if seed is None else random.Random(f"{seed} {name}")
            drawing.shuffle(cases)
            for place, case in enumerate(cases[:count], start=1):
                sides = (case.left, case.right)[:: -1 if number % 2 else 1]
                db.execute(
                    "INSERT INTO cases VALUES (?, ?, ?, ?, ?)", [inserted, place, case.name, *sides]
                )
        return token

    def reader(self, token: str) -> Reader | None:
        """Return whose link a token is; None if it is nobody's."""
        # Looked up by its hash: how long that takes tells nothing about any token.
        found = self._read("SELECT id, name FROM readers WHERE token = ?", _hash(token))
        return Reader(*found[0]) if found else None

    def readers(self) -> list[Reader]:
        """Return all readers in the order that they were added."""
        return [Reader(*row) for row in self._read("SELECT id, name FROM readers ORDER BY id")]

    def cases(self, reader: Reader) -> list[Shown]:
        """Return a reader's cases in their order."""
        return [
            Shown(*row)
            for row in self._read(
                "SELECT number, name, left, right FROM cases WHERE reader = ? ORDER BY number",
                reader.id,
            )
        ]

    def case(self, reader: Reader, name: str) -> Shown | None:
        """Return a case as a reader sees it; None if it is not among theirs."""
        found = self._read(
            "SELECT number, name, left, right FROM cases WHERE reader = ? AND name = ?",
            *(reader.id, name),
        )
        return Shown(*found[0]) if found else None

    def history(self, reader: Reader) -> list[Answer]:
        """Return all answers of a reader in the order that they were accepted."""
        rows = self._read(
            "SELECT name, revision, scores, seconds, answered_at FROM answers WHERE reader = ?"
            " ORDER BY sequence",
            reader.id,
        )
        return [_answer(row) for row in rows]

    def latest(self, reader: Reader) -> dict[str, Answer]:
        """Return the answers of a reader that count, by case."""
        found: dict[str, Answer] = {}
        for answer in self.history(reader):
            if answer.name not in found or found[answer.name].revision < answer.revision:
                found[answer.name] = answer
        return found

    def save(
        self,
        reader: Reader,
        name: str,
        submission: str,
        scores: Mapping[str, int],
        seconds: float,
        revision: int,
    ) -> Answer:
        """Keep an answer; it is on the disk when this returns.

        Args:
            reader: Whose it is.
            name: One of their cases.
            submission: Id that the page drew for it. What comes twice is kept once.
            scores: By question, all of them.
            seconds: That the case was on screen since the answer before.
            revision: Revision of the answer that it changes, 0 for none.

        Returns:
            The answer; if the submission was kept before, as it was then.

        Raises:
            Conflict: Another answer has been given since that revision.
            Reused: The submission's id was that of another answer.
            NoSpace: The disk is full, or refuses.
        """
        with self._writing() as db:
            columns = "name, revision, scores, seconds, answered_at"
            before = db.execute(
                f"SELECT {columns} FROM answers WHERE reader = ? AND submission = ?",
                [reader.id, submission],
            ).fetchone()
            if before:
                kept = _answer(before)
                if (kept.name, kept.scores) != (name, dict(scores)):
                    raise Reused("id: was given to another answer; draw a new one")
                return kept
            last = db.execute(
                f"SELECT {columns} FROM answers WHERE reader = ? AND name = ?"
                " ORDER BY revision DESC LIMIT 1",
                [reader.id, name],
            ).fetchone()
            current = _answer(last) if last else None
            if revision != (current.revision if current else 0):
                raise Conflict(current)
            answer = Answer(name, revision + 1, dict(scores), float(seconds), _now())
            db.execute(
                "INSERT INTO answers (reader, name, revision, submission, scores, seconds,"
                " answered_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    *(reader.id, name, answer.revision, submission),
                    *(json.dumps(answer.scores), answer.seconds, answer.answered_at),
                ],
            )
        return answer


def _answer(row: tuple) -> Answer:
    name, revision, scores, seconds, answered_at = row
    return Answer(name, revision, json.loads(scores), seconds, answered_at)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
