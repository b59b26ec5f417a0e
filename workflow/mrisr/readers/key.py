"""The key of a reader study: which method each image is. It never lies where the server reads."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mrisr.common.errors import InputError
from mrisr.common.files import atomic


@dataclass(frozen=True)
class Known:
    """What a case is.

    Attributes:
        case: Its name in the study.
        left: File of the image that `study.json` has on the left.
        right: Likewise.
        left_method: The method that made it.
        right_method: Likewise.
        repeat_of: The case that this one shows again; empty if none.
        dataset: Name of the dataset.
        subject: Name of the subject.
        item: Name of the slice or volume; of a volume, the subject's.
        scale: Up-sampling scale, as in paths.
    """

    case: str
    left: str
    right: str
    left_method: str
    right_method: str
    repeat_of: str
    dataset: str
    subject: str
    item: str
    scale: str

    @property
    def methods(self) -> dict[str, str]:
        """The method of each image, by its file."""
        return {self.left: self.left_method, self.right: self.right_method}


COLUMNS = tuple(field.name for field in fields(Known))


def default_path(folder: str | Path) -> Path:
    """Return where the key of a study lies if nobody says otherwise: beside its folder."""
    folder = Path(folder).absolute()
    return folder.with_name(f"{folder.name}_key.csv")


def check_place(path: str | Path, folder: str | Path) -> None:
    """Refuse a place for a key that the server, or whoever is given the folder, could read.

    Raises:
        InputError: It is inside the folder.
    """
    if Path(path).resolve().is_relative_to(Path(folder).resolve()):
        raise InputError(
            f"{path}: the key says which image is which; keep it outside of {folder}, which the"
            " server reads"
        )


def write_key(path: str | Path, known: Sequence[Known]) -> None:
    """Write a key as CSV that its owner alone can read."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, known))
    with atomic(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(text.getvalue(), encoding="utf-8")


def read_key(path: str | Path) -> dict[str, Known]:
    """Return a key by case.

    Raises:
        InputError: It is not there, or no key of a reader study.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        return {row["case"]: Known(**{name: row[name] for name in COLUMNS}) for row in rows}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the key that the study came with") from None
    except (KeyError, TypeError, UnicodeDecodeError, csv.Error):
        raise InputError(
            f"{path}: not the key of a reader study, which has the columns {', '.join(COLUMNS)}"
        ) from None
