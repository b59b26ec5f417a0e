"""A small simulated cohort from the MNI152 template that nilearn bundles; needs no network.

Each subject is the template (ICBM 152, symmetric, 2009a) seen through a random anatomy and a
random scanner: an affine and two scales of smooth warp, a tone curve and a tissue contrast, a
receive bias field, Rician noise, integer intensities, skull stripped. It stands in for scans
where none can be downloaded; numbers measured on it say nothing about real brains.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from nilearn import datasets
from scipy import ndimage
from scipy.interpolate import BSpline

from mrisr.common.errors import ConfigError
from mrisr.common.progress import progress
from mrisr.common.schema import nearest
from mrisr.common.seeds import generator
from mrisr.volumes.io import Volume, save

#: What `parameters` of a bundled dataset may change.
DEFAULTS = {
    # Edge of the isotropic voxels in mm; at 2 a volume has 98 x 116 x 94 voxels.
    "voxel_size": 2.0,
    # Gain of the template's details finer than about 3 mm, which averaging 152 brains has dulled.
    "sharpen": 1.5,
    # Largest rotation about each axis in degrees, and largest change of each axis' length.
    "rotation": 4.0,
    "stretch": 0.05,
    # Cubic B-spline warps: [spacing of the control points in mm, bound of a displacement in mm].
    "warps": [[40.0, 7.0], [14.0, 2.4]],
    # The tone curve is t ** gamma, gamma in [1 / (1 + tone), 1 + tone]; grey and white matter
    # are each multiplied by 1 +- tissue.
    "tone": 0.2,
    "tissue": 0.05,
    # Amplitude of the multiplicative bias field, drawn from this range (0.1: +-10 %), and the
    # spacing of its control points in mm.
    "bias": [0.1, 0.2],
    "bias_spacing": 80.0,
    # Range of the noise's sigma in each channel, as a fraction of the white matter's intensity.
    "noise": [0.015, 0.02],
    # Intensity of white matter before the bias field, and how much it differs among subjects.
    "white": 750.0,
    "gain": 0.1,
}

# One cubic B-spline warp cannot fold while bound / spacing is below 1 / 2.48 (Choi and Lee,
# Graphical Models 62, 2000, three dimensions); several together are held to the same.
FOLDING_LIMIT = 1 / 2.48


#: Gives the stream of random numbers of one part of a subject.
Draw = Callable[[str], np.random.Generator]


def cohort(
    subjects: list[str], folder: Path, parameters: dict, seed: int, workers: int = 1
) -> dict[str, Path]:
    """Simulate a T1-weighted, skull-stripped scan for each subject.

    A subject depends on the seed, its name and the parameters alone: not on the other subjects
    and not on `workers`.

    Args:
        subjects: Names, for example `sub-01`.
        folder: Where `<subject>_T1w.nii.gz` are written: int16, RAS, 0 outside the brain and
            1 to about 1000 inside.
        parameters: Replaces some of `DEFAULTS`.
        seed: The study's seed.
        workers: Processes.

    Returns:
        The file of each subject, in the order of `subjects`.

    Raises:
        ConfigError: A parameter is unknown or impossible.
    """
    settings = _settings(parameters)
    paths = {subject: Path(folder) / f"{subject}_T1w.nii.gz" for subject in subjects}
    tasks = [(subject, path, settings, seed) for subject, path in paths.items()]
    if min(workers, len(tasks)) > 1:
        with ProcessPoolExecutor(min(workers, len(tasks))) as pool:
            for _ in progress(pool.map(_write, tasks), "simulate", len(tasks)):
                pass
    else:
        for task in progress(tasks, "simulate"):
            _write(task)
    return paths


def simulate(subject: str, seed: int, **parameters: object) -> Volume:
    """Simulate one subject.

    Args:
        subject: Its name; with the seed it decides anatomy, contrast and noise.
        seed: The study's seed.
        **parameters: Replace some of `DEFAULTS`.

    Returns:
        The scan: int16, shape (X, Y, Z) that covers the template's field of view, RAS affine.

    Raises:
        ConfigError: A parameter is unknown or impossible.
    """
    settings = _settings(parameters)

    def draw(part: str) -> np.random.Generator:
        # One stream a part, so that e.g. other noise leaves the anatomy as it is.
        return generator(seed, "simulate", subject, part)

    shape, affine = _grid(settings["voxel_size"])
    voxels = _anatomy(shape, affine, settings, draw)
    template, maps = _template(settings["voxel_size"], settings["sharpen"])
    tone = ndimage.map_coordinates(template, voxels, order=3, prefilter=False)
    grey, white, brain = (ndimage.map_coordinates(map_, voxels, order=1) for map_ in maps)

    contrast = draw("contrast")
    gamma = (1 + settings["tone"]) ** contrast.uniform(-1, 1)
    grey_gain, white_gain = settings["tissue"] * contrast.uniform(-1, 1, 2)
    clean = np.maximum(tone, 0) ** gamma * (1 + grey_gain * grey + white_gain * white)
    clean *= settings["white"] / np.median(clean[white > 0.9])

    scanner = draw("scanner")
    bias = _spline_field(shape, settings["voxel_size"], settings["bias_spacing"], scanner)
    bias /= np.abs(bias[brain > 0.5]).max()
    clean *= 1 + scanner.uniform(*settings["bias"]) * bias
    sigma = scanner.uniform(*settings["noise"]) * settings["white"]
    real, imaginary = draw("noise").normal(0, sigma, (2, *shape))
    scan = np.hypot(clean + real, imaginary) * (1 + settings["gain"] * scanner.uniform(-1, 1))

    # At least 1 inside, so that the brain is where the scan is not 0.
    scan = np.clip(np.rint(scan), 1, np.iinfo(np.int16).max) * (brain > 0.5)
    return Volume(scan.astype(np.int16), affine)


def _write(task: tuple[str, Path, dict, int]) -> None:
    subject, path, settings, seed = task
    save(simulate(subject, seed, **settings), path)


def _settings(parameters: dict) -> dict:
    for name in parameters:
        if name not in DEFAULTS:
            raise ConfigError(
                f"simulated cohort: unknown parameter '{name}': {nearest(name, DEFAULTS)}"
            )
        value = parameters[name]
        if not _alike(value, DEFAULTS[name]):
            raise ConfigError(
                f"simulated cohort: {name} is {value!r}; give numbers as in {DEFAULTS[name]}"
            )
    settings = DEFAULTS | parameters
    if not 0.5 <= settings["voxel_size"] <= 8:
        raise ConfigError(
            f"simulated cohort: voxel_size is {settings['voxel_size']}; give 0.5 to 8 (mm)"
        )
    steepness = sum(bound / spacing for spacing, bound in settings["warps"])
    if steepness > FOLDING_LIMIT:
        raise ConfigError(
            f"simulated cohort: warps {settings['warps']} may fold the brain: the bounds divided"
            f" by the spacings add up to {steepness:.2f}; keep them below {FOLDING_LIMIT:.2f}"
        )
    return settings


def _alike(value: object, default: object) -> bool:
    """Return whether a parameter is a number, a range or a list of pairs, as its default."""
    try:
        value = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    default = np.asarray(default)
    return value.ndim == default.ndim and value.shape[-1:] == default.shape[-1:]


@cache
def _template(voxel_size: float, sharpen: float) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return the template's cubic spline coefficients, and grey, white matter and brain maps."""
    image = datasets.load_mni152_template(resolution=1).get_fdata(dtype=np.float32)
    fine = image - ndimage.gaussian_filter(image, 1.5)
    # The anti-alias is mild: FWHM 0.7 voxels, 64 % of the contrast left at Nyquist.
    image = ndimage.gaussian_filter(image + sharpen * fine, 0.3 * voxel_size)
    maps = (
        datasets.load_mni152_gm_template(resolution=1),
        datasets.load_mni152_wm_template(resolution=1),
        datasets.load_mni152_brain_mask(resolution=1),
    )
    coefficients = ndimage.spline_filter(image, order=3, output=np.float32)
    return coefficients, tuple(map_.get_fdata(dtype=np.float32) for map_ in maps)


@cache
def _template_grid() -> tuple[tuple[int, ...], np.ndarray]:
    image = datasets.load_mni152_template(resolution=1)
    return image.shape, image.affine


def _grid(voxel_size: float) -> tuple[tuple[int, ...], np.ndarray]:
    """Return shape and affine of a grid of isotropic voxels centred on the template's."""
    full, affine = _template_grid()
    shape = tuple(round(n / voxel_size) for n in full)
    affine = affine @ np.diag([voxel_size, voxel_size, voxel_size, 1.0])
    middle, ours = (np.array([*((np.array(s) - 1) / 2), 1]) for s in (full, shape))
    affine[:3, 3] += (_template_grid()[1] @ middle - affine @ ours)[:3]
    return shape, affine


def _anatomy(shape: tuple[int, ...], affine: np.ndarray, settings: dict, draw: Draw) -> np.ndarray:
    """Return where in the template (1 mm voxels) each voxel looks, shape (3, X, Y, Z)."""
    pose = draw("pose")
    angles = np.radians(settings["rotation"]) * pose.uniform(-1, 1, 3)
    linear = np.diag(1 + settings["stretch"] * pose.uniform(-1, 1, 3))
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn[[i, j, i, j], [i, j, j, i]] = (
            np.cos(angle),
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
        )
        linear = turn @ linear

    centre = (affine @ np.array([*((np.array(shape) - 1) / 2), 1]))[:3]
    offsets = np.stack(
        np.meshgrid(*((np.arange(n) - (n - 1) / 2) for n in shape), indexing="ij")
    ).astype(np.float32)
    offsets *= settings["voxel_size"]
    for number, (spacing, bound) in enumerate(settings["warps"]):
        warp = draw(f"warp {number}")
        for axis in range(3):
            offsets[axis] += bound * _spline_field(shape, settings["voxel_size"], spacing, warp)
    to_voxels = np.linalg.inv(_template_grid()[1])
    linear = to_voxels[:3, :3] @ linear
    start = to_voxels[:3, :3] @ centre + to_voxels[:3, 3]
    # Written out: a matrix product's last bits may depend on the number of threads.
    return np.stack(
        [sum(row[k] * offsets[k] for k in range(3)) + start[i] for i, row in enumerate(linear)]
    )


def _spline_field(
    shape: Sequence[int], voxel_size: float, spacing: float, random: np.random.Generator
) -> np.ndarray:
    """Return a smooth random field in [-1, 1]: a cubic B-spline with uniform coefficients.

    Args:
        shape: Shape of the field, (X, Y, Z).
        voxel_size: In mm.
        spacing: Spacing of the control points, in mm.
        random: Draws the coefficients.
    """
    bases = []
    for n in shape:
        x = np.arange(n) * (voxel_size / spacing)
        knots = np.arange(-3.0, np.floor(x[-1]) + 5)
        bases.append(BSpline.design_matrix(x, knots, 3).astype(np.float32))
    field = random.uniform(-1, 1, [basis.shape[1] for basis in bases]).astype(np.float32)
    for basis in bases:
        # Each pass samples the first axis and moves it to the end: after three, all in order.
        sampled = basis @ field.reshape(field.shape[0], -1)
        field = np.moveaxis(sampled.reshape(-1, *field.shape[1:]), 0, -1)
    return np.ascontiguousarray(field)
