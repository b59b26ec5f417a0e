"""Files that somebody publishes: where they are, under which terms, what is stated about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class FileSet:
    """What a download needs to know of the files of a dataset, or of any others.

    Attributes:
        name: Name in messages.
        label: Name beside the terms of use.
        terms: Licence, citation and home page in one line.
        source: As in a dataset's YAML: its `kind` (`https`, `s3`), where files are, and `pattern`,
            the path of a file in the download folder, with `{subject}`.
        checksums: What is published about a file, by subject: some of `sha256` and `md5` (in
            hexadecimal) and `bytes` (an integer).
        stated_in: Where that stands, for messages.
        access: How to get keys for a source that asks for them.
    """

    name: str
    label: str
    terms: str
    source: Mapping
    checksums: Mapping[str, Mapping] = field(default_factory=dict)
    stated_in: str = ""
    access: str = ""

    @property
    def publisher(self) -> str:
        """Who states checksums, for messages."""
        return f"the publisher states (see {self.stated_in})"


def terms_of_use(licence: str, citation: str, url: str) -> str:
    """Return the terms of use as one line; what is empty is left out."""
    parts = [f"licence: {licence}", citation and f"cite: {citation}", url]
    return "; ".join(filter(None, parts))
