"""What makes a scan unusable: one list for fetching, for preparing and for `mrisr data check`."""

import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np

from mrisr.common.errors import Problem, ScanError
from mrisr.common.files import checksum
from mrisr.volumes import io

# Edges of voxels in mm; beyond, the unit is wrong: metres or micrometres called millimetres.
SMALLEST, LARGEST = 0.005, 100.0
# Cosine between two axes of the affine that rounding may leave.
MAX_SHEAR = 0.01
# Voxels more elongated than this are worth a word.
ELONGATED = 8
# sform and qform may place a voxel this far apart, in mm, without a word.
MAX_SHIFT = 1.0
# pixdim and the sform may disagree by this part of the voxel size: headers round.
PIXDIM_PART = 0.01
# Bits of xyzt_units that hold the unit of length, and the codes that NIfTI defines: unknown,
# metre, millimetre, micrometre.
SPACE_BITS, KNOWN_UNITS = 7, (0, 1, 2, 3)
# sform and qform are the same if no voxel is this part of its size apart.
SAME_PART = 0.01
MGH_FLAG = 28  # first byte of MGH's RAS flag, 16 bits
# "Bright" is this quantile of the voxels above 0; limits below are parts of it.
BRIGHT = 0.99
# Ringing of an interpolated scan: dark background may lie this far below 0, and a few voxels
# (this part of those above 0) beside sharp edges may lie deeper.
RINGING, DEEP, DEEP_PART = 0.01, 0.1, 0.01
# The ground truth is divided by its maximum: one voxel so bright would turn the brain black.
OUTSHINES = 100
# Above this part of bright, it would turn it dark, and PSNR would count from that voxel: the
# brightest vessels and fat of heads reach 4.
HOT = 8
# A background that lies flat (this part of the voxels, within this part of bright above the darkest
# one) and higher than LIFTED is one with an offset, which no gain takes away.
FLAT, WITHIN, LIFTED = 0.2, 0.05, 0.02
# A background of one value is one within this part of bright. A mask above this part of the volume
# is no mask.
ONE_VALUE, WHOLE = 1e-6, 0.98
WHITE = "intensity: {white: 99.9 %}"
# So few voxels above 0 are no brain; so few different whole numbers are labels.
FEW_VOXELS, FEW_LABELS = 0.001, 50
# Edges of the volume as bright as this part of bright: contrast is inverted.
INVERTED = 0.8
# Dark voxels are below the first of these parts of bright. Beyond them, at least FLAT of the voxels
# within WITHIN of the darkest, which must lie above the second, are a background with an offset
# beside one that was set to 0. More than HALF within NARROW are CT: soft tissue is one value.
DARK, CLEAR, NARROW, HALF = LIFTED, 0.05, 3, 0.5  # NARROW in hundredths
DAMAGED = f"the header's orientation is damaged: {io.CONVERT}"


@dataclass
class Report:
    """What a look at a scan found.

    Attributes:
        path: The file.
        bytes: Its size, 0 if the header cannot be read.
        shape: Shape of the volume as it is stored, None if the header cannot be read.
        voxel_size: Edges of a voxel in mm along the same axes.
        orientation: Where these axes point, e.g. RAS.
        kind: Type of its voxels.
        problems: Why it cannot be used.
        notes: What is unusual, and how it is taken.
    """

    path: Path
    bytes: int = 0
    shape: tuple[int, ...] | None = None
    voxel_size: tuple[float, ...] | None = None
    orientation: str | None = None
    kind: str | None = None
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refuse(self) -> None:
        """Raise ScanError if there are problems."""
        refuse(self.path, self.problems)


def refuse(name: object, problems: Sequence[Problem]) -> None:
    """Raise ScanError if there are problems.

    Args:
        name: Name of the subject or file.
        problems: What is wrong with it.
    """
    if problems:
        raise ScanError(name, *problems)


def header(path: str | Path, form: Mapping | None = None) -> Report:
    """Look at a file's header; voxels are not read.

    Args:
        path: A NIfTI, MGH or HDF5 file.
        form: What an HDF5 file does not say, see `mrisr.volumes.hdf5`; None for other formats.

    Returns:
        What was found; nothing is raised for bad files.
    """
    report = Report(Path(path))
    if form is not None:
        _hdf5_header(report, form)
        return report
    try:
        image = io.load_image(path)
        report.bytes = report.path.stat().st_size
        report.kind = str(image.get_data_dtype())
        report.shape = tuple(image.shape)
        report.shape = io.volume_shape(image, path)
    except ScanError as error:
        report.problems += error.problems
    if report.shape is None:
        return report
    affine = io.affine_mm(image)
    wrong = affine_problems(affine)
    report.problems += wrong
    if isinstance(image.header, nib.Nifti1Header):
        report.problems += orientation_problems(image) or voxel_size_problems(image)
    else:
        report.problems += mgh_problems(report.path)
    if not wrong:
        report.voxel_size = tuple(float(edge) for edge in nib.affines.voxel_sizes(affine))
        report.orientation = "".join(nib.aff2axcodes(affine))
    if not report.problems:
        report.notes += _notes(image, report)
    return report


def _hdf5_header(report: Report, form: Mapping) -> None:
    """Fill in the report on an HDF5 file."""
    from mrisr.volumes.hdf5 import header_hdf5

    try:
        report.shape, report.kind, affine = header_hdf5(report.path, form)
        report.bytes = report.path.stat().st_size
    except ScanError as error:
        report.problems += error.problems
        return
    report.problems += affine_problems(affine)
    report.voxel_size = tuple(float(edge) for edge in nib.affines.voxel_sizes(affine))
    report.orientation = "".join(nib.aff2axcodes(affine))


def affine_problems(affine: np.ndarray) -> list[Problem]:
    """Return why an affine cannot be used.

    Args:
        affine: Voxel indices to millimetres, shape (4, 4).
    """
    if not np.isfinite(affine).all():
        return [Problem("the affine has NaN or infinite entries", DAMAGED)]
    voxel_size = nib.affines.voxel_sizes(affine)
    if voxel_size.min() <= 0:
        return [Problem(f"voxel size {edges(voxel_size)}", DAMAGED)]
    problems = []
    if voxel_size.min() < SMALLEST or voxel_size.max() > LARGEST:
        remedy = "its unit is wrong (xyzt_units, affine): set both to millimetres"
        problems.append(Problem(f"voxel size {edges(voxel_size)}", remedy))
    axes = affine[:3, :3] / voxel_size
    if abs(np.linalg.det(axes)) < 1e-3:
        return [*problems, Problem("the affine is singular, its axes lie in one plane", DAMAGED)]
    shear = np.abs(axes.T @ axes - np.eye(3)).max()
    if shear > MAX_SHEAR:
        what = f"the affine is sheared (cosine between two axes {shear:.3f}, at most {MAX_SHEAR})"
        problems.append(Problem(what, "resample the scan to a rectangular grid first"))
    return problems


def orientation_problems(image: nib.Nifti1Image) -> list[Problem]:
    """Return why the orientation in a NIfTI header cannot be trusted."""
    codes = [int(image.header[key]) for key in ("sform_code", "qform_code")]
    if not any(codes):
        return [
            Problem(
                "no orientation in the header (sform and qform code 0): left and right are unknown",
                "convert the scan again with dcm2niix, or set the sform if you know it",
            )
        ]
    forms = _forms(image.header)
    if forms is None:
        return []
    seen = ["".join(nib.aff2axcodes(form)) for form in forms]
    if seen[0] == seen[1]:
        return []
    what = f"its sform says that the axes point to {seen[0]}, its qform to {seen[1]}"
    remedy = "find out which is right and set the other to it (nibabel: image.set_qform)"
    return [Problem(what, remedy)]


def voxel_size_problems(image: nib.Nifti1Image) -> list[Problem]:
    """Return where a NIfTI header's voxel size is not the one of its sform.

    Programs that take pixdim and programs that take the sform would see two different scans. A
    pixdim of 0 says nothing.
    """
    if not int(image.header["sform_code"]):
        return []
    stated = np.abs(np.asarray(image.header["pixdim"][1:4], np.float64))
    taken = nib.affines.voxel_sizes(image.header.get_sform())
    if not (stated > 0).all() or (np.abs(stated - taken) <= PIXDIM_PART * taken).all():
        return []
    what = f"its pixdim says voxels of {edges(stated)}, its sform {edges(taken)}"
    remedy = (
        "find out which is right and set the other to it (nibabel: image.header.set_zooms,"
        " image.set_sform)"
    )
    return [Problem(what, remedy)]


def mgh_problems(path: Path) -> list[Problem]:
    """Return why the orientation in an MGH header cannot be trusted.

    nibabel fills in a default where the flag is 0, so the flag is read from the file itself.
    """
    opened = gzip.open if path.suffix.lower() == ".mgz" else open
    with opened(path, "rb") as file:
        start = file.read(MGH_FLAG + 2)
    if start[MGH_FLAG:] != bytes(2):
        return []
    return [
        Problem(
            "no orientation in the header (its RAS flag is 0): left and right are unknown",
            "convert the scan again with FreeSurfer's mri_convert, or set the orientation if you"
            " know it",
        )
    ]


def same_place(header: nib.Nifti1Header, shape: Sequence[int]) -> bool:
    """Tell whether a header's sform and qform place all voxels alike, to a hundredth of a voxel."""
    forms = _forms(header)
    if forms is None:
        return False
    return io.farthest(*forms, shape) <= SAME_PART * nib.affines.voxel_sizes(forms[0]).min()


def _forms(header: nib.Nifti1Header) -> tuple[np.ndarray, np.ndarray] | None:
    """Return sform and qform, if the header has both and they are usable."""
    try:
        forms = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    except (ValueError, nib.spatialimages.HeaderDataError):  # no rotation in the qform
        return None
    if any(form is None or not np.isfinite(form).all() for form in forms):
        return None
    if any(abs(np.linalg.det(form[:3, :3])) < 1e-12 for form in forms):
        return None
    return forms


def _notes(image: io.Image, report: Report) -> list[str]:
    """Return what is unusual about a usable scan."""
    assert report.shape is not None and report.voxel_size is not None  # as for usable scans
    notes = []
    if isinstance(image.header, nib.Nifti1Header):
        code = int(image.header["xyzt_units"]) & SPACE_BITS
        if code not in KNOWN_UNITS:
            notes.append(f"its unit of length, code {code}, is unknown to NIfTI; taken as mm")
    longest, shortest = max(report.voxel_size), min(report.voxel_size)
    if longest > ELONGATED * shortest:
        notes.append(f"voxels {longest / shortest:.3g} times as long as wide")
    if isinstance(image, nib.Nifti1Image):
        unit = io.spatial_unit(image)
        if unit in io.MILLIMETRES:
            notes.append(f"its affine is stated in {unit}s and taken as {edges(report.voxel_size)}")
        forms = _forms(image.header)
        if forms is not None:
            shift = io.farthest(*forms, report.shape)
            if shift > MAX_SHIFT:
                notes.append(f"sform and qform differ by up to {shift:.3g} mm; the sform is taken")
    return notes


def voxel_problems(data: np.ndarray, cut: bool = False) -> list[Problem]:
    """Return why voxels cannot become a ground truth.

    Args:
        data: Intensities, float32.
        cut: Whether the brightest voxels are cut, so that one of them may be an outlier.
    """
    if bad := data.size - int(np.isfinite(data).sum()):
        what = f"{bad} of {data.size} voxels are NaN or infinite as 32-bit floats"
        return [Problem(what, "repair or leave out the scan")]
    low, high = float(data.min()), float(data.max())
    if low == high:
        remedy = "the scan is empty: leave it out or export it again"
        return [Problem(f"constant, every voxel is {low:g}", remedy)]
    positive = data[data > 0]
    if not positive.size:
        return [_negative(data.size, 0)]
    bright = float(np.quantile(positive, BRIGHT))
    problems = []
    if low > LIFTED * bright and (data < low + WITHIN * bright).mean() > FLAT:
        what = f"background above 0: its darkest voxels are {low:.3g}, where bright is {bright:.3g}"
        remedy = (
            f"take the offset out: subtract {_exact(low)} from all voxels, or set"
            f" intensity: {{black: {_exact(low)}}} in the dataset's file"
        )
        problems.append(Problem(what, remedy))
    if low < -RINGING * bright:
        below = int((data < -RINGING * bright).sum())
        deep = int((data < -DEEP * bright).sum())
        if below > positive.size or deep > DEEP_PART * positive.size or low < -bright:
            problems.append(_negative(below, positive.size))
    if high > OUTSHINES * bright and not cut:
        what = (
            f"its maximum is {high:.3g}, {BRIGHT:.0%} of the voxels above 0 are below {bright:.3g}"
        )
        remedy = (
            "the maximum becomes 1: set such outliers to their neighbours' value, or set"
            f" {WHITE} in the dataset's file"
        )
        problems.append(Problem(what, remedy))
    return problems


def voxel_notes(data: np.ndarray, cut: bool = False) -> list[str]:
    """Return what is unusual about voxels that can become a ground truth.

    Args:
        data: Intensities, float32, shape (X, Y, Z), some of them above 0.
        cut: As in `voxel_problems`.
    """
    signal = data > 0
    count = int(signal.sum())
    if count < FEW_VOXELS * data.size:
        return [f"only {count} of {data.size} voxels are above 0; is it a scan?"]
    notes = []
    # A sample first: of a scan, it has more values than a label map has in all.
    for step in (97, 1):
        sample = data.ravel()[::step]
        if len(np.unique(sample)) > FEW_LABELS or (sample != np.round(sample)).any():
            break
    else:
        notes.append(f"{len(np.unique(data))} different whole numbers; is it a label map?")
    for axis, name in enumerate("xyz"):
        filled = np.flatnonzero(signal.any(axis=tuple({0, 1, 2} - {axis})))
        gaps = int(filled[-1] - filled[0] + 1 - len(filled))
        if gaps:
            notes.append(f"{gaps} slices along {name} are empty in its middle; is a part missing?")
    faces = [np.take(data, end, axis).ravel() for axis in range(3) for end in (0, -1)]
    bright = float(np.quantile(data[signal], BRIGHT))
    if not notes and float(np.median(np.concatenate(faces))) > INVERTED * bright:
        notes.append("its edges are as bright as anything in it; is the contrast inverted?")
    notes += background_notes(data, bright)
    if not notes:
        notes += _offset_notes(data, bright)
    return notes + ([] if cut else hot_notes(data, bright))


def background_notes(data: np.ndarray, bright: float) -> list[str]:
    """Return what is to be said of a background that has one value, and that is not 0.

    Args:
        data: Intensities, float32.
        bright: Their 99 % quantile above 0.
    """
    low = float(data.min())
    share = float((data <= low + ONE_VALUE * bright).mean()) if low > 0 else 0.0
    if share < FLAT:
        return []
    return [
        f"its background is {low:.3g}, not 0 ({share:.0%} of the voxels): the mask is the whole"
        f" volume, and a crop to it does nothing; set intensity: {{black: {_exact(low)}}} in the"
        " dataset's file"
    ]


def _exact(intensity: float) -> str:
    """Return a float32 with all its digits: a rounded one as `black` would leave a background."""
    return np.format_float_positional(np.float32(intensity), trim="-")


def hot_notes(data: np.ndarray, bright: float | None = None, stack: bool = False) -> list[str]:
    """Return what is to be said of a few voxels that are far brighter than all others.

    Args:
        data: Intensities, float32.
        bright: Their 99 % quantile above 0, if it is known.
        stack: Whether the scan is a stack of slices, for which a dataset cannot set `intensity`.
    """
    if bright is None:
        positive = data[data > 0]
        bright = float(np.quantile(positive, BRIGHT)) if positive.size else 0.0
    high = float(data.max())
    if not 0 < HOT * bright < high:
        return []
    count = int((data > HOT * bright).sum())
    many = "voxels are" if count > 1 else "voxel is"
    gained = 20 * np.log10(high / bright)
    remedy = "" if stack else f"set {WHITE} in the dataset's file, or "
    return [
        f"its maximum is {high:.3g}, {high / bright:.3g} times the 99 % quantile of the voxels"
        f" above 0 ({count} {many} above {HOT} times): intensities and PSNR are parts of the"
        f" maximum, so PSNR is about {gained:.0f} dB higher than without; {remedy}mend the voxels"
    ]


def mask_notes(inside: np.ndarray, data: np.ndarray) -> list[str]:
    """Return what is to be said of a mask, made of the signal, that leaves nothing out.

    Args:
        inside: Nonzero inside.
        data: The ground truth; of a background of one value `background_notes` has said enough.
    """
    share = float(np.count_nonzero(inside)) / inside.size
    if share <= WHOLE or background_notes(data, float(data.max())):
        return []
    return [
        f"its mask is {share:.1%} of the volume, for nearly all voxels are above 0: the background"
        " is not 0, or is there none? Of a skull-stripped scan set intensity: {black: ...}, of a"
        " head mask: {kind: template} in the dataset's file"
    ]


def _offset_notes(data: np.ndarray, bright: float) -> list[str]:
    """Return whether an offset may have been added although some voxels are near 0.

    Args:
        data: Intensities, float32.
        bright: What counts as bright.
    """
    rest = data[data > DARK * bright]
    floor = float(np.quantile(rest, 0.01))
    flat = float((rest < floor + WITHIN * bright).mean())
    if floor > CLEAR * bright and flat > FLAT:
        return [
            f"{flat:.0%} of what is not 0 lies within {WITHIN:.0%} of {floor:.3g}, where bright is"
            f" {bright:.3g}; is it a background with an offset, set to 0 in part?"
        ]
    rest = rest[rest > CLEAR * bright]  # without the noise of air
    counts, edges = np.histogram(rest, 100, (0, bright))
    bands = np.convolve(counts, np.ones(NARROW), "valid")
    most = int(np.argmax(bands))
    if bands[most] > HALF * max(1, rest.size) and most > 100 * CLEAR:
        return [
            f"{bands[most] / rest.size:.0%} of what is not dark lies between {edges[most]:.4g} and"
            f" {edges[most + NARROW]:.4g}, where bright is {bright:.4g}; is it CT, or was an offset"
            " added? PSNR and SSIM would be too high"
        ]
    return []


def _negative(below: int, above: int) -> Problem:
    return Problem(
        f"no magnitudes: {below} voxels far below 0, {above} above",
        "intensities must start at 0 in the background: undo the standardisation or the offset",
    )


def size_problems(shape: Sequence[int], min_size: int, when: str = "") -> list[Problem]:
    """Return the problem of a volume with fewer than `min_size` voxels along an axis.

    Args:
        shape: Shape of the volume.
        min_size: What the largest scale needs.
        when: What was done to it before, e.g. `after cropping`.
    """
    if min(shape) >= min_size:
        return []
    what = f"{' x '.join(map(str, shape))} voxels{when and ' '}{when}"
    return [
        Problem(
            what,
            f"the largest scale needs at least {min_size} along each axis: leave the subject out,"
            " crop less, or drop that scale",
        )
    ]


def published_problems(path: Path, published: Mapping, stated: str) -> list[Problem]:
    """Return where a file differs from what is published about it.

    Args:
        path: A file that can be read.
        published: Some of `bytes`, `sha256`, `md5`.
        stated: Who says so, for messages.
    """
    size = path.stat().st_size
    if size != published.get("bytes", size):
        return [Problem(f"{size} bytes where {stated} {published['bytes']}", io.AGAIN)]
    for kind in ("sha256", "md5"):
        if kind in published:
            found = checksum(path, kind)
            if found != published[kind]:
                what = f"its {kind} is {found} where {stated} {published[kind]}"
                return [Problem(what, io.AGAIN)]
    return []


def edges(voxel_size: Iterable[float]) -> str:
    """Return a voxel size as text, to three digits: `0.868 x 0.868 x 1 mm`."""
    return " x ".join(f"{float(f'{edge:.3g}'):g}" for edge in voxel_size) + " mm"
