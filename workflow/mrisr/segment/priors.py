"""Tissue priors of the segmentation, and the brain template that they belong to.

Six probability maps in ANTs' order (`mrisr.volumes.regions.REGIONS`) come from one of three places:
a folder of the user; the public OASIS-30 template of ANTs, downloaded and checked against its
published checksums; or a coarse atlas of our own, for demonstrations without a network.

It is light at import, because the Snakefile uses `local_files` at parse time.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mrisr.common.errors import InputError
from mrisr.data.finding import NIFTI_SUFFIXES

if TYPE_CHECKING:
    import numpy as np

    from mrisr.volumes.io import Volume

ATLAS, OASIS = "atlas", "oasis30ants"
#: File names in a folder of priors; the template may be missing, see `collect`.
TEMPLATE = "template"
PRIORS = tuple(f"prior{label}" for label in range(1, 7))

# TemplateFlow's public bucket; names and MD5 as its archive states them.
OASIS_URL = "https://templateflow.s3.amazonaws.com/tpl-OASIS30ANTs/{subject}.nii.gz"
OASIS_HOME = "https://www.templateflow.org"
OASIS_CITATION = (
    "Avants B., Tustison N. ANTs/ANTsR Brain Templates. figshare, 2014."
    " doi:10.6084/m9.figshare.915436"
)
OASIS_FILES = {
    "tpl-OASIS30ANTs_res-01_desc-brain_T1w": (5082326, "be1f44016e730fc2d1889fd59ac849a2"),
    "tpl-OASIS30ANTs_res-01_label-CSF_probseg": (6205417, "e80579e58f508c1bb40383e2c1e29ef2"),
    "tpl-OASIS30ANTs_res-01_label-CGM_probseg": (5260423, "d7898560b6d5367c389bc1030e358704"),
    "tpl-OASIS30ANTs_res-01_label-WM_probseg": (4057922, "2981f336abe7a38bcadc0d32f02fa421"),
    "tpl-OASIS30ANTs_res-01_label-SCGM_probseg": (726641, "3f5de41041d8751a752e0457bc009f16"),
    "tpl-OASIS30ANTs_res-01_label-BS_probseg": (446641, "20186128f80ba8d4f6a76d9218c74aab"),
    "tpl-OASIS30ANTs_res-01_label-CBM_probseg": (887554, "21123cffefaca3abdc492fb9795060a7"),
}

# Tolerance in mm for affines of files that belong together.
GRID_TOLERANCE = 1e-2
# Wide limits of a human brain in ml; priors in other units or spaces are far outside.
BRAIN_ML = (400, 4000)


def label(priors: str) -> str:
    """Return the footnote on the priors of a study.

    Args:
        priors: `atlas`, `oasis30ants` or a folder.
    """
    known = {
        ATLAS: "a coarse six-region atlas made from the MNI152 template, for demonstration only",
        OASIS: "OASIS-30 Atropos template of ANTs (TemplateFlow tpl-OASIS30ANTs, CC BY 4.0)",
    }
    return known.get(priors, f"of the study, from {Path(priors).name}")


def local_files(priors: str) -> list[Path]:
    """Return the files of a folder of priors, without opening any of them.

    Args:
        priors: A folder, or one of the two names, which have no files.

    Returns:
        The template, if the folder has one, and the six priors.

    Raises:
        InputError: The folder or some priors are missing; the message names them all.
    """
    if priors in (ATLAS, OASIS):
        return []
    folder = Path(priors).expanduser()
    wanted = "template.nii.gz (a brain without skull) and prior1.nii.gz to prior6.nii.gz"
    if not folder.is_dir():
        raise InputError(
            f"segmentation.priors: no folder {folder}; give '{OASIS}', '{ATLAS}', or a folder with"
            f" {wanted} in the order CSF, gray matter, white matter, deep gray matter, brain stem,"
            " cerebellum (relative ones start at the working folder)"
        )
    found = {name: _file(folder, name) for name in (TEMPLATE, *PRIORS)}
    missing = [f"{name}.nii.gz" for name in PRIORS if found[name] is None]
    if missing:
        raise InputError(
            f"segmentation.priors: {folder} has no {', '.join(missing)}; it must hold {wanted}"
        )
    return [path for path in found.values() if path is not None]


def _file(folder: Path, name: str) -> Path | None:
    paths = (folder / f"{name}{suffix}" for suffix in NIFTI_SUFFIXES)
    return next((path for path in paths if path.exists()), None)


def collect(
    priors: str, downloads: str | Path, template_output: str | Path, priors_output: str | Path
) -> None:
    """Find, fetch or make the priors, check them, and write them in one form.

    Args:
        priors: `atlas`, `oasis30ants`, or a folder with `prior1.nii.gz` to `prior6.nii.gz` and
            `template.nii.gz`. Without a template, the priors must lie on the grid of the MNI152
            template that nilearn bundles (1 mm), which is then used.
        downloads: Folder of downloads. The OASIS-30 files are kept in `<downloads>/oasis30ants/`.
            Correct files there are used, even if someone put them there by hand.
        template_output: The brain template, NIfTI.
        priors_output: The priors, 4-D NIfTI, last axis the six tissues.

    Raises:
        InputError: Files cannot be fetched or read, or are not six priors of one brain.
    """
    from mrisr.volumes.io import save, save_series
    from mrisr.volumes.raw import load_scan

    if priors == ATLAS:
        template, maps = atlas()
    else:
        files = _fetch_oasis(Path(downloads)) if priors == OASIS else local_files(priors)
        names, volumes = list(map(str, files)), [load_scan(path) for path in files]
        if len(files) == len(PRIORS):
            names = ["nilearn's MNI152 template (the folder has no template.nii.gz)", *names]
            volumes = [_bundled_template(), *volumes]
        template, maps = _checked(names, volumes)
    save(template, template_output)
    save_series(maps, template.affine, priors_output)


def _fetch_oasis(downloads: Path) -> list[Path]:
    """Return the template and the six priors of OASIS-30, and download missing ones."""
    from mrisr.data.fetch import fetch_files
    from mrisr.data.file_set import FileSet, terms_of_use

    folder = downloads / OASIS
    files = FileSet(
        name=OASIS,
        label="OASIS30ANTs",
        terms=terms_of_use("CC BY 4.0", OASIS_CITATION, OASIS_HOME),
        source={"kind": "https", "url": OASIS_URL, "pattern": "{subject}.nii.gz"},
        checksums={name: {"bytes": n, "md5": md5} for name, (n, md5) in OASIS_FILES.items()},
        stated_in=OASIS_HOME,
    )
    try:
        found = fetch_files(files, list(OASIS_FILES), folder, f"fetch {OASIS}")
    except InputError as error:
        raise InputError(
            "segmentation.priors: the priors of OASIS-30 cannot be fetched. Put the seven files"
            f" below into {folder} by hand, name a folder with priors of your own"
            " (segmentation.priors: <folder>, see config/README.md), or leave the segmentation out"
            " (--config segmentation=False)."
            f" {error}"
        ) from None
    return [Path(scan.path) for scan in found]


def _bundled_template() -> Volume:
    """Return the MNI152 brain that nilearn bundles (ICBM 2009a, symmetric, 1 mm)."""
    import numpy as np
    from nilearn import datasets

    from mrisr.volumes.io import Volume

    image = datasets.load_mni152_template(resolution=1)
    return Volume(image.get_fdata(dtype=np.float32), np.asarray(image.affine, np.float64))


def _checked(names: list[str], volumes: list[Volume]) -> tuple[Volume, np.ndarray]:
    """Return template and stacked priors; refuse what cannot belong to one brain."""
    import numpy as np

    template = volumes[0]
    for name, volume in zip(names[1:], volumes[1:], strict=True):
        if volume.data.shape != template.data.shape or not np.allclose(
            volume.affine, template.affine, atol=GRID_TOLERANCE
        ):
            raise InputError(
                f"{name}: shape {volume.data.shape}, but {names[0]} has {template.data.shape}, or"
                " another affine; template and priors must lie on one grid"
            )
        low, high = float(volume.data.min()), float(volume.data.max())
        if not (low >= -0.01 and 0.2 <= high <= 1.01):
            raise InputError(
                f"{name}: values from {low:g} to {high:g}; a prior holds probabilities in [0, 1]"
            )
    maps = np.clip(np.stack([volume.data for volume in volumes[1:]]), 0, 1)
    voxel_ml = float(abs(np.linalg.det(template.affine[:3, :3]))) / 1000
    ml = maps.sum(axis=(1, 2, 3), dtype=np.float64) * voxel_ml
    if not BRAIN_ML[0] <= ml.sum() <= BRAIN_ML[1]:
        raise InputError(
            f"{names[1]} and the other priors: together {ml.sum():.0f} ml, which is no human brain;"
            " check the affine and the units"
        )
    total = maps.sum(axis=0)
    over = int(np.count_nonzero(total > 1.5)) / max(1, int(np.count_nonzero(total > 0.5)))
    if over > 0.05:
        raise InputError(
            f"{names[1]} and the other priors: they add up to more than 1.5 in {100 * over:.0f} %"
            " of the brain; each voxel's six probabilities must add up to 1"
        )
    if min(ml[1:3]) <= max(ml[3:]) or ml[4] >= ml[5]:
        sizes = ", ".join(f"{Path(n).name} {v:.0f} ml" for n, v in zip(names[1:], ml, strict=True))
        raise InputError(
            f"{Path(names[1]).parent}: {sizes}; the order must be CSF, gray matter, white matter,"
            " deep gray matter, brain stem, cerebellum"
        )
    return template, maps


def atlas() -> tuple[Volume, np.ndarray]:
    """Make a coarse atlas of the six regions in the space of the MNI152 template, at 2 mm.

    Gray and white matter are the template's own probability maps; the rest of its brain mask is
    CSF. Ellipsoids and planes with soft edges cut deep gray matter, brain stem and cerebellum out
    of them; they were placed by hand in MNI coordinates. The atlas shows that a segmentation works;
    it is not an atlas to publish with.

    Returns:
        The template and the priors, float32, shape (6, X, Y, Z), which sum to the brain mask.
    """
    import numpy as np
    from nilearn import datasets

    from mrisr.volumes.io import Volume

    image = datasets.load_mni152_template(resolution=2)
    affine = np.asarray(image.affine, dtype=np.float64)
    gray, white, brain = (
        np.clip(loader(resolution=2).get_fdata(dtype=np.float32), 0, 1)
        for loader in (
            datasets.load_mni152_gm_template,
            datasets.load_mni152_wm_template,
            datasets.load_mni152_brain_mask,
        )
    )
    # Interpolated maps may add up to a little more than 1.
    tissue = np.maximum(gray + white, 1e-6)
    gray, white = (np.minimum(m, m / tissue) * brain for m in (gray, white))
    grid = np.indices(gray.shape, dtype=np.float32)
    x, y, z = (sum(affine[i, j] * grid[j] for j in range(3)) + affine[i, 3] for i in range(3))
    stem, cerebellum, deep = _regions(np.abs(x), y, z)
    cerebellum = cerebellum * (1 - stem)
    cerebrum = 1 - stem - cerebellum
    tissue = gray + white
    # The template's maps count the outer parts of thalamus and pallidum as white matter.
    deep_part = cerebrum * deep * tissue
    maps = np.stack(
        [
            brain - tissue,
            cerebrum * (1 - deep) * gray,
            cerebrum * (1 - deep) * white,
            deep_part,
            stem * tissue,
            cerebellum * tissue,
        ]
    ).astype(np.float32)
    return Volume(image.get_fdata(dtype=np.float32), affine), np.clip(maps, 0, 1)


def _regions(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return brain stem, cerebellum and deep gray matter in [0, 1] at MNI coordinates in mm.

    Args:
        x: Distance from the midline; the regions are symmetric.
        y: Anterior is positive.
        z: Superior is positive.
    """
    import numpy as np

    def soft(distance: np.ndarray, width: float) -> np.ndarray:
        """1 where the distance in mm is well below 0, 0 well above."""
        return 1 / (1 + np.exp(np.clip(distance / width, -30, 30)))

    def ellipsoid(centre: tuple, radii: tuple) -> np.ndarray:
        """Return roughly the distance to an ellipsoid's surface in mm, negative inside."""
        parts = zip((x, y, z), centre, radii, strict=True)
        radius = np.sqrt(sum(((a - c) / r) ** 2 for a, c, r in parts))
        return (radius - 1) * min(radii)

    # Midbrain, pons and medulla, along an axis that leans back by 20 degrees.
    stem = np.minimum.reduce(
        [
            ellipsoid((0, -25, -14), (15, 12, 10)),
            ellipsoid((0, -27, -32), (17, 13, 15)),
            ellipsoid((0, -39, -55), (9, 9, 20)),
        ]
    )
    # Under the tentorium, a roof that falls to the sides and to the back.
    roof = z - (2 - 0.52 * x - 0.33 * np.maximum(-y - 52, 0) - 0.6 * np.maximum(y + 52, 0))
    front = y + 32 + 0.25 * (z + 30) - 0.2 * x
    cerebellum = np.maximum(roof, front)
    deep = np.minimum.reduce(
        [
            ellipsoid((11, -19, 7), (11, 15, 10)),  # thalamus
            ellipsoid((25, 2, 0), (9, 18, 11)),  # putamen and pallidum
            ellipsoid((13, 11, 10), (6, 14, 12)),  # head of the caudate
            ellipsoid((17, -8, 21), (5, 17, 5)),  # body of the caudate
            ellipsoid((10, -15, -7), (7, 8, 6)),  # ventral diencephalon
        ]
    )
    return soft(stem, 1.5), soft(cerebellum, 2.0), soft(deep, 1.5)
