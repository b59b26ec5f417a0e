"""The folder of a reader study: all that its server sees, which is nothing about methods."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mrisr.common.errors import InputError
from mrisr.common.files import write_json

SIDES = ("left", "right")
SCORES = (-2, -1, 0, 1, 2)
#: Van Veen et al. 2022, Table 1 (right).
QUESTIONS = ({"key": "noise", "label": "Noise"}, {"key": "sharpness", "label": "Sharpness"})
#: Of the left image compared with the right, in the order of `SCORES`.
CHOICES = (
    "Right much better",
    "Right slightly better",
    "No different",
    "Left slightly better",
    "Left much better",
)
TITLE = "Reader study"
INSTRUCTIONS = (
    "Each case is one image, reconstructed in two ways. Compare the left one with the right one and"
    " answer every question. Take the time that you need; you can go back and change an answer."
)
_IMAGE = re.compile(r"[0-9a-f]{16}\.nii")


@dataclass(frozen=True)
class Case:
    """A pair of images.

    Attributes:
        name: `case-001`.
        left: File in `images/`.
        right: Likewise.
        shape: Voxels along each axis.
        slices: Whether the images are one voxel thick.
        window: Intensities that are black and white at first, the same for both images.
    """

    name: str
    left: str
    right: str
    shape: tuple[int, ...]
    slices: bool
    window: tuple[float, float]


@dataclass(frozen=True)
class ReaderStudy:
    """A reader study as `study.json` describes it.

    Attributes:
        folder: Where it lies.
        title: Heading of the page.
        instructions: What readers are told first.
        questions: Key and label of each.
        choices: What the scores -2 to 2 of the left image are called.
        cases: In the order that they were drawn; every reader has an order of their own.
    """

    folder: Path
    title: str
    instructions: str
    questions: tuple[dict[str, str], ...]
    choices: tuple[str, ...]
    cases: tuple[Case, ...]

    @property
    def answers(self) -> Path:
        """The database of readers and answers."""
        return self.folder / "answers.sqlite"

    @property
    def fingerprint(self) -> str:
        """A digest of cases and questions: what answers refer to."""
        kept = [[question["key"] for question in self.questions]]
        kept += [[case.name, case.left, case.right] for case in self.cases]
        return hashlib.sha256(json.dumps(kept).encode()).hexdigest()

    def image(self, name: str) -> Path:
        """Return the path of an image."""
        return self.folder / "images" / name

    @classmethod
    def load(cls, folder: str | Path) -> "ReaderStudy":
        """Read a study that `mrisr.readers.pairs.make` wrote.

        Raises:
            InputError: There is none, it is damaged, or an image is not there.
        """
        path = Path(folder) / "study.json"
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            study = cls(
                Path(folder),
                str(said["title"]),
                str(said["instructions"]),
                tuple(
                    {key: str(question[key]) for key in ("key", "label")}
                    for question in said["questions"]
                ),
                tuple(map(str, said["choices"])),
                tuple(
                    Case(
                        str(entry["case"]),
                        str(entry["left"]),
                        str(entry["right"]),
                        tuple(map(int, entry["shape"])),
                        bool(entry["slices"]),
                        (float(entry["window"][0]), float(entry["window"][1])),
                    )
                    for entry in said["cases"]
                ),
            )
        except FileNotFoundError:
            raise InputError(
                f"{path}: no such file; make a study with `mrisr readers make`"
            ) from None
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise InputError(
                f"{path}: damaged ({type(error).__name__}: {error}); make the study again"
            ) from None
        study._check(path)
        return study

    def _check(self, path: Path) -> None:
        keys = [question["key"] for question in self.questions]
        names = [case.name for case in self.cases]
        if not keys or len(set(keys)) < len(keys):
            raise InputError(f"{path}: questions: give one or more, each with a key of its own")
        if len(self.choices) != len(SCORES):
            raise InputError(f"{path}: choices: give {len(SCORES)}, from -2 to 2")
        if not names or len(set(names)) < len(names):
            raise InputError(f"{path}: cases: none, or two of one name; make the study again")
        for case in self.cases:
            for name in (case.left, case.right):
                if not _IMAGE.fullmatch(name) or not self.image(name).is_file():
                    raise InputError(
                        f"{path}: {case.name}: no image {name!r} in {self.image('')}; make the"
                        " study again"
                    )


def write_study(folder: str | Path, cases: Sequence[Case]) -> None:
    """Write `study.json`; its title, instructions, labels and choices are the user's to change."""
    write_json(
        Path(folder) / "study.json",
        {
            "title": TITLE,
            "instructions": INSTRUCTIONS,
            "questions": list(QUESTIONS),
            "choices": list(CHOICES),
            "cases": [
                {
                    "case": case.name,
                    "left": case.left,
                    "right": case.right,
                    "shape": list(case.shape),
                    "slices": case.slices,
                    "window": list(case.window),
                }
                for case in cases
            ],
        },
    )
