"""Errors that a user can act on: each message names the culprit, the problem and the remedy."""

from dataclasses import dataclass


class MrisrError(Exception):
    """Base of all errors that are shown to the user without a traceback."""


class ConfigError(MrisrError):
    """A study, method or dataset file is wrong; the message names the file and the key."""


class InputError(MrisrError):
    """A scan or a file is missing or unusable; the message names the file or the subject."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with a scan, and what to do about it."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


class ScanError(InputError):
    """A scan cannot be used.

    Attributes:
        name: The file or the subject.
        problems: All problems of the scan; at least one.
    """

    def __init__(self, name: object, *problems: Problem):
        super().__init__(name, *problems)  # the arguments from which pickle makes it again
        self.name, self.problems = name, problems

    def __str__(self) -> str:
        return f"{self.name}: " + " | ".join(map(str, self.problems))


class TrainingError(MrisrError):
    """Training cannot go on; the message names the method and the step."""


class ContractError(MrisrError):
    """A method, dataset or metric breaks the contract; the message says which and how."""


def require(kept: object, what: str) -> None:
    """Raise a ContractError with the message `what` if `kept` is false."""
    if not kept:
        raise ContractError(what)
