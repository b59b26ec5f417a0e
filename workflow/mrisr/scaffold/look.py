"""A look at a folder of scans that nobody has described yet: what its dataset file would say."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrisr.common.errors import InputError
from mrisr.data import finding
from mrisr.volumes import io

# Words that tell what a file is: a scan that is wanted, and what is no scan.
WANTED = re.compile(r"t1|mprage|mp2rage|spgr|bravo", re.IGNORECASE)
OTHER = re.compile(r"mask|seg|label|lesion|bold|dwi|asl|fieldmap|phase", re.IGNORECASE)
MASK = re.compile(r"mask", re.IGNORECASE)
# A scan whose six outer planes are 0 to this part has no neck and no noise: it was stripped.
EMPTY = 0.99
#: More files than this say no more about how they are named.
MOST = 20_000


@dataclass(frozen=True)
class Look:
    """What was found in a folder.

    Attributes:
        about: What the template of a dataset file takes.
        lines: What to tell the user, a line each.
    """

    about: dict[str, str | bool]
    lines: list[str]


def look(folder: str | Path, kind: str | None = None, pattern: str | None = None) -> Look:
    """Describe the scans of a folder; the first one is read.

    Args:
        folder: With the scans in it.
        kind: `bids` or `folder`; default what it looks like.
        pattern: Of the files, with `{subject}`, where it is no BIDS folder; default the one that
            fits most of them.

    Raises:
        InputError: There is no such folder, it holds no scans, or the first cannot be read.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"--from {folder}: no such folder")
    bids = any(path.is_dir() for path in folder.glob("sub-*"))
    kind = kind or ("bids" if bids and pattern is None else "folder")
    if kind == "bids":
        source, first = _bids(folder)
        mask = None
    else:
        pattern, mask = (pattern, None) if pattern else _pattern(folder)
        subjects = finding.pattern_subjects(folder, pattern)
        first = finding.pattern_file(folder, subjects[0], pattern, "give --pattern")
        source = {"kind": "folder", "folder": str(folder), "pattern": pattern}
    volume = io.load(first)
    stripped, why = _stripped(volume.data, first.name)
    sizes = np.linalg.norm(volume.affine[:3, :3], axis=0)
    scan = {
        "shape": list(map(int, volume.data.shape)),
        "voxel_size": [float(f"{size:.4g}") for size in sizes],
    }
    if mask:
        chosen: dict = {"kind": "file", "pattern": mask}
    else:
        chosen = {"kind": "signal" if stripped else "template"}
    about = {
        "folder": str(folder),
        "source": _flow(source),
        "scan": _flow(scan),
        "first": first.name,
        "stripped": stripped,
        "why": why,
        "mask": _flow(chosen),
    }
    said = {
        "source": about["source"],
        "skull-stripped": f"{'yes' if stripped else 'no'}, {why}",
        "mask": about["mask"],
    }
    return Look(about, [f"{key}: {text}" for key, text in said.items()])


def _bids(folder: Path) -> tuple[dict, Path]:
    """Return the source of a BIDS folder and its first scan."""
    subjects = finding.bids_subjects(folder)
    kinds: dict[tuple[str, str], set[str]] = defaultdict(set)
    for subject in subjects:
        for file in sorted((folder / subject).glob("**/anat/*")):
            if _is_scan(file):
                stem = file.name[: file.name.index(".")]
                session = re.search(r"_ses-([A-Za-z0-9+]+)_", stem)
                kinds[stem.rpartition("_")[2], session[1] if session else ""].add(subject)
    if not kinds:
        raise InputError(
            f"{folder}: no sub-*/anat/ with scans; give --source folder and --pattern, e.g."
            " '{subject}/**/*_T1w.nii.gz'"
        )
    suffix, session = max(kinds, key=lambda kind: (len(kinds[kind]), kind[0] == "T1w", kind))
    several = {kind for word, kind in kinds if word == suffix}
    source = {"kind": "bids", "folder": str(folder), "suffix": suffix}
    if len(several) > 1:
        source["session"] = session
    first = next(s for s in subjects if s in kinds[suffix, session])
    try:
        return source, finding.bids_file(folder, first, source)
    except InputError:  # several match: the check names all such subjects, and what to set
        place = f"{'ses-' + session + '/' if session else ''}anat"
        files = (folder / first / place).glob(f"*_{suffix}.*")
        return source, min(file for file in files if _is_scan(file))


def _is_scan(file: Path) -> bool:
    """Tell a scan from JSON sidecars, and from what macOS leaves beside each (`._scan.nii.gz`)."""
    return file.name.endswith(finding.IMAGES) and not file.name.startswith(".")


def _pattern(folder: Path) -> tuple[str, str | None]:
    """Return the pattern that fits the scans of a folder, and that of masks beside them."""
    files = [path for _, path in zip(range(MOST), folder.rglob("*"), strict=False)]
    paths = sorted(
        path.relative_to(folder).as_posix()
        for path in files
        if path.name.endswith(finding.IMAGES) and not path.name.startswith(".")
    )
    if not paths:
        endings = ", ".join(finding.IMAGES)
        raise InputError(f"{folder}: holds no scans ({endings}); give the folder that has them")
    counts: Counter[str] = Counter()
    subjects: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        for pattern, subject in _readings(path):
            counts[pattern] += 1
            subjects[pattern].add(subject)
    # One file a subject, and something that all share beside the ending if there are several.
    fitting = [candidate for candidate in counts if counts[candidate] == len(subjects[candidate])]
    scans = [candidate for candidate in fitting if not OTHER.search(candidate)] or fitting

    def worth(pattern: str) -> tuple:
        count = len(subjects[pattern])
        shared = re.sub(r"\{subject\}|\*+|\.nii(\.gz)?$|\.mg[zh]$|/", "", pattern)
        shared_by_many = bool(shared) and count > 1
        return shared_by_many and bool(WANTED.search(shared)), shared_by_many, count, len(pattern)

    best = max(scans, key=worth)
    masks = [
        candidate for candidate in fitting
        if MASK.search(candidate) and candidate != best and subjects[best] <= subjects[candidate]
    ]  # fmt: skip
    return best, max(masks, key=worth, default=None)


def _readings(path: str) -> list[tuple[str, str]]:
    """Return the patterns that a path may be an example of, each with its subject."""
    *folders, name = path.split("/")
    found = []
    for depth, subject in enumerate(folders):
        whole = rf"(?<![A-Za-z0-9]){re.escape(subject)}(?![A-Za-z0-9])"
        rest = re.sub(whole, "{subject}", "/".join([*folders[depth + 1 :], name]))
        found.append(("*/" * depth + "{subject}/" + rest, subject))
    if not folders:
        ending = next(image for image in finding.IMAGES if name.endswith(image))
        parts = re.split(r"(?=[_.-])", name.removesuffix(ending))
        for end in range(1, len(parts) + 1):
            subject = "".join(parts[:end])
            found.append(("{subject}" + "".join(parts[end:]) + ending, subject))
    return [reading for reading in found if re.fullmatch(finding.SUBJECT, reading[1])]


def _stripped(data: np.ndarray, name: str) -> tuple[bool, str]:
    """Return whether a scan looks skull-stripped, and why."""
    planes = [np.take(data, at, axis) for axis in range(3) for at in (0, -1)]
    empty = float(np.mean([np.mean(plane == 0) for plane in planes]))
    where = f"{100 * empty:.0f} % of the outermost voxels of {name} are 0"
    return empty >= EMPTY, f"guessed, for {where}; correct it if wrong"


def _flow(value: object) -> str:
    """Return a mapping, a list or a scalar as YAML in one line."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
    return text.strip().removesuffix("...").strip()
