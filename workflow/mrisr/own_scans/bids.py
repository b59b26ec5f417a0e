"""A BIDS folder for `mrisr sr`: its anatomical scans, and what a derivative of them is called."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from mrisr.common.files import write_json
from mrisr.common.provenance import version
from mrisr.data.finding import bids_subjects

VERSION = "1.10.0"
#: Suffixes of structural images, which have a brightness and one volume.
SUFFIXES = (
    *("T1w", "T2w", "PDw", "FLAIR", "T2starw", "PDT2", "inplaneT1", "inplaneT2"),
    *("UNIT1", "angio"),
)
NAME = re.compile(rf"(sub-[\w+-]+?)_({'|'.join(SUFFIXES)})(\.nii(?:\.gz)?)")
#: Label of the SR volumes, `desc-<label>`.
DESCRIPTION = "sr"


def is_bids(folder: Path) -> bool:
    """Say whether a folder has subjects in folders `sub-*`."""
    return any(path.is_dir() for path in folder.glob("sub-*"))


def scans(folder: Path) -> list[Path]:
    """Return all anatomical scans of a BIDS folder, those of derivatives in it left out.

    Raises:
        InputError: The name of a subject cannot be used.
    """
    places = ("anat", "ses-*/anat")
    return sorted(
        path
        for subject in bids_subjects(folder)
        for place in places
        for path in (folder / subject).glob(f"{place}/*.nii*")
        if NAME.fullmatch(path.name)
    )


def derivative(scan: Path, folder: Path, output: Path) -> Path:
    """Return the path of a scan's SR volume: as in the folder, with `desc-sr` before the suffix."""
    entities, suffix, _ = NAME.fullmatch(scan.name).groups()  # type: ignore[union-attr]
    entities = re.sub(r"_desc-[^_]+", "", entities)
    name = f"{entities}_desc-{DESCRIPTION}_{suffix}.nii.gz"
    return output / scan.parent.relative_to(folder) / name


def describe_dataset(folder: Path, output: Path, words: Sequence[str]) -> None:
    """Write `dataset_description.json` of the derivative.

    Args:
        folder: The BIDS folder.
        output: The derivative's folder.
        words: The command that makes it.
    """
    content = {
        "Name": f"Super-resolution of {folder.resolve().name}",
        "BIDSVersion": VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "mrisr", "Version": version(), "Description": " ".join(words)}],
        "SourceDatasets": [{"URL": _link(folder, output)}],
        "DatasetLinks": {"raw": _link(folder, output)},
    }
    write_json(output / "dataset_description.json", content)


def describe_volume(made: Path, scan: Path, folder: Path, stripped: bool) -> None:
    """Write the JSON sidecar of an SR volume.

    Args:
        made: The SR volume.
        scan: The scan that it was made of.
        folder: The BIDS folder of the scan.
        stripped: Whether the skull was stripped here.
    """
    content: dict[str, object] = {
        "Description": "Super-resolved volume, in the space of the scan; not for diagnosis",
        "Sources": [f"bids:raw:{scan.relative_to(folder).as_posix()}"],
        "SpatialReference": "orig",
    }
    if stripped:
        content["SkullStripped"] = True
    write_json(made.with_name(made.name.removesuffix(".nii.gz") + ".json"), content)


def _link(folder: Path, output: Path) -> str:
    return Path(os.path.relpath(folder.resolve(), output.resolve())).as_posix()
