"""Files of a figure: PNG, PDF, and a JSON record that describes its content.

The same input gives the same bytes. Only matplotlib's object API is used, with matplotlib's own
defaults instead of the user's settings, and no date or version is stored.
"""

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from mrisr.common.errors import InputError
from mrisr.common.files import atomic, write_json

RESOLUTION = 200  # of PNGs with `detail` 1, in dots per inch
LEAST_RESOLUTION = 300  # what journals ask for
# Editable text without Type 3 fonts, which journals refuse.
SETTINGS = {"pdf.fonttype": 42}
METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None}}


@dataclass(frozen=True)
class Record:
    """Description of a figure; a field that does not apply is None.

    Attributes:
        title: Heading, e.g. dataset, subject and scales.
        caption: Full text, made from the figure's content.
        section: Section of the report.
        dataset: Name of the dataset.
        subject: Name of the subject.
        methods: Names of the methods, in the order shown.
        scales: Up-sampling scales, in the order shown.
        points: By subject, where its points lie: x from the left and y from the top, as shares of
            the figure's width and height.
    """

    title: str
    caption: str
    section: str
    dataset: str | None = None
    subject: str | None = None
    methods: list[str] | None = None
    scales: list[float] | None = None
    points: dict[str, list[tuple[float, float]]] | None = None


@contextmanager
def plain() -> Iterator[None]:
    """Draw with matplotlib's own defaults, then restore the user's settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


def write(
    figure: Figure, record: Record, outputs: Sequence[str | Path], detail: float = 1.0
) -> None:
    """Write a figure; call it inside the `plain` block that drew the figure.

    Args:
        figure: The figure.
        record: Description of the figure.
        outputs: `.png`, `.pdf` and `.json` files; the name in the record is the JSON's stem.
        detail: Factor on the usual resolution of the PNG, for many small panels.
    """
    for output in map(Path, outputs):
        kind = output.suffix.removeprefix(".")
        if kind == "json":
            write_json(output, {"name": output.stem, **asdict(record)})
            continue
        about = {"Title": record.title}
        if kind == "pdf":
            about |= {"Subject": record.caption, "Keywords": "MRI, super-resolution"}
        with atomic(output) as temporary:
            dpi = max(LEAST_RESOLUTION, RESOLUTION * detail)
            figure.savefig(temporary, dpi=dpi, format=kind, metadata=METADATA[kind] | about)


def read_record(path: str | Path) -> dict[str, Any]:
    """Return a figure's record: name, and the attributes of `Record`.

    Raises:
        InputError: The file is missing or damaged.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; draw the figure first") from None
    except ValueError as error:
        raise InputError(
            f"{path}: not JSON ({error}); delete it and draw the figure again"
        ) from None
    if not isinstance(record, Mapping) or not {"name", "caption"} <= set(record):
        raise InputError(f"{path}: no record of a figure; delete it and draw the figure again")
    return dict(record)


def draw(kind: str, params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw a figure.

    Args:
        kind: See `mrisr.plan.figures.Planned`.
        params: See `mrisr.plan.figures.Planned`.
        outputs: `.png`, `.pdf` and `.json` files to write.
    """
    importlib.import_module(f"mrisr.figures.{kind}").draw(params, outputs)
