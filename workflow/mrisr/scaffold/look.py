"""A look at a folder of undescribed scans, for the content of their dataset file."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrisr.common.errors import InputError, ScanError
from mrisr.data import finding
from mrisr.volumes.io import Volume
from mrisr.volumes.raw import load_scan

# Words in file names: those of wanted scans, and those of files that are not scans.
WANTED = re.compile(r"t1|mprage|mp2rage|spgr|bravo", re.IGNORECASE)
OTHER = re.compile(r"mask|seg|label|lesion|bold|dwi|asl|fieldmap|phase", re.IGNORECASE)
MASK = re.compile(r"mask", re.IGNORECASE)
# A day, with or without time, as in folder names of a scanner's export; or a session.
DAY = r"(?:19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d(?:[-_.T]\d+)*"
VISIT = re.compile(rf"{DAY}|ses-[A-Za-z0-9]+|(?:visit|tp)[-_]?\d+", re.IGNORECASE)
WITHIN = re.compile(rf"(?<![A-Za-z0-9])(?:{VISIT.pattern})(?![A-Za-z0-9])", re.IGNORECASE)
# If this share of a scan's six outer planes is 0, it has no neck and no noise: it was stripped.
EMPTY = 0.99
#: Number of files that is enough to learn how they are named.
MOST = 20_000
#: Number of scans tried until one can be read, and number of names listed.
TRIED, SHOWN = 10, 5
# In a usable pattern this share of subjects have one file; the others have several visits.
SINGLE = 0.5


@dataclass(frozen=True)
class Look:
    """Result of a look at a folder.

    Attributes:
        about: Values for the template of a dataset file.
        lines: Lines of text for the user.
    """

    about: dict[str, object]
    lines: list[str]


def look(folder: str | Path, kind: str | None = None, pattern: str | None = None) -> Look:
    """Describe the scans of a folder; the first one is read.

    Args:
        folder: Folder of the scans.
        kind: `bids` or `folder`; default by appearance.
        pattern: Pattern of the files, with `{subject}`, for a folder that is not BIDS; default the
            one that fits most of them.

    Raises:
        InputError: The folder is missing, has no scans, or its first scan cannot be read.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"--from {folder}: no such folder")
    bids = any(path.is_dir() for path in folder.glob("sub-*"))
    kind = kind or ("bids" if bids and pattern is None else "folder")
    mask = None
    if kind == "bids":
        source, scans, remarks = _bids(folder)
    else:
        paths = _scan_paths(folder)
        given = pattern is not None
        if pattern is None:
            pattern, mask = _pattern(folder, paths)
        scans = _matching(folder, pattern)
        remarks = _left_over(paths, pattern, mask, given)
        source = {"kind": "folder", "folder": str(folder), "pattern": pattern}
    first, volume = _first_sound(scans)
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
    return Look(about, [*(f"{key}: {text}" for key, text in said.items()), *remarks])


def _first_sound(scans: Sequence[Path]) -> tuple[Path, Volume]:
    """Return the first usable scan; the check reports the problems of the others.

    Raises:
        ScanError: None of the first scans is usable; the error is that of the first one.
    """
    problem: ScanError | None = None
    for path in scans[:TRIED]:
        try:
            return path, load_scan(path)
        except ScanError as error:
            problem = problem or error
    assert problem is not None  # there are scans
    raise problem


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Return the scans of all subjects by a pattern; all scans of a subject with several."""
    subjects = finding.pattern_subjects(folder, pattern)
    return [file for name in subjects for file in finding.pattern_files(folder, name, pattern)]


def _bids(folder: Path) -> tuple[dict, list[Path], list[str]]:
    """Return the source of a BIDS folder, its scans, and lines on its other content."""
    subjects = finding.bids_subjects(folder)
    kinds: dict[tuple[str, str], set[str]] = defaultdict(set)
    for subject in subjects:
        for file in sorted((folder / subject).glob("**/anat/*")):
            if _is_scan(file):
                stem = file.name[: file.name.index(".")]
                entity = re.search(r"_ses-([A-Za-z0-9+]+)_", stem)
                kinds[stem.rpartition("_")[2], entity[1] if entity else ""].add(subject)
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
    place = f"{'ses-' + session + '/' if session else ''}anat"
    scans = [
        file
        for subject in subjects
        for file in sorted((folder / subject / place).glob(f"*_{suffix}.*"))
        if _is_scan(file)
    ]
    remarks = []
    if len(several) > 1:
        counted = sorted((kind, len(kinds[suffix, kind])) for kind in several)
        listed = ", ".join(f"{kind or 'none'} ({count} subjects)" for kind, count in counted)
        remarks.append(f"sessions: {listed}; {session or 'none'} is taken, set source.session")
    words: Counter[str] = Counter()
    for (word, _), having in kinds.items():
        words[word] = max(words[word], len(having))
    others = [f"{word} ({count})" for word, count in words.most_common() if word != suffix]
    if others:
        remarks.append(
            f"other scans: {', '.join(others)}; {suffix} is taken, set source.suffix for another"
        )
    without = [subject for subject in subjects if subject not in kinds[suffix, session]]
    if without:
        remarks.append(f"without such a scan: {_listed(without)}")
    return source, scans, remarks


def _is_scan(file: Path) -> bool:
    """Tell a scan from JSON sidecars, and from the extra files of macOS (`._scan.nii.gz`)."""
    return file.name.endswith(finding.IMAGES) and not file.name.startswith(".")


def _scan_paths(folder: Path) -> list[str]:
    """Return the paths of all scans in a folder, relative to it, sorted.

    Raises:
        InputError: The folder has no scans.
    """
    files = [path for _, path in zip(range(MOST), folder.rglob("*"), strict=False)]
    inside = [path.relative_to(folder) for path in files if _is_scan(path)]
    # A pattern matches nothing in hidden folders.
    hidden = [any(part.startswith(".") for part in path.parts) for path in inside]
    paths = sorted(
        path.as_posix() for path, unseen in zip(inside, hidden, strict=True) if not unseen
    )
    if not paths:
        endings = ", ".join(finding.IMAGES)
        raise InputError(f"{folder}: holds no scans ({endings}); give the folder that has them")
    return paths


def _pattern(folder: Path, paths: Sequence[str]) -> tuple[str, str | None]:
    """Return the pattern that fits the scans of a folder, and the pattern of masks beside them.

    Raises:
        InputError: No part of any path can name a subject.
    """
    counts = _candidates(paths)
    if not counts:
        raise InputError(
            f"{folder}: {len(paths)} scans, such as {paths[0]!r}, but no folder or file whose name"
            " can be a subject's; rename them to letters, digits, - and _"
        )
    # One file a subject; if there are several subjects, a shared word beside the ending too.
    fitting = [
        found
        for found in counts
        if sum(n == 1 for n in counts[found].values()) >= SINGLE * len(counts[found])
    ] or list(counts)
    scans = [candidate for candidate in fitting if not OTHER.search(candidate)] or fitting

    def worth(pattern: str) -> tuple:
        count = len(counts[pattern])
        shared = _shared(pattern)
        shared_by_many = bool(shared) and count > 1
        return shared_by_many and bool(WANTED.search(shared)), shared_by_many, count, len(pattern)

    best = max(scans, key=worth)
    masks = [
        candidate
        for candidate in fitting
        if MASK.search(candidate)
        and candidate != best
        and counts[best].keys() <= counts[candidate].keys()
    ]
    return best, max(masks, key=worth, default=None)


def _candidates(paths: Sequence[str]) -> dict[str, Counter[str]]:
    """Return, for each possible pattern of the paths, the number of files of each subject."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for path in paths:
        for pattern, subject in _readings(path):
            counts[pattern][subject] += 1
    return counts


def _shared(pattern: str) -> str:
    """Return the words that all files of a pattern share."""
    return re.sub(r"\{subject\}|\*+|\.nii(\.gz)?$|\.mg[zh]$|/", "", pattern)


def _left_over(paths: Sequence[str], pattern: str, mask: str | None, given: bool) -> list[str]:
    """Return lines on the scans outside of a pattern, so that none is lost silently.

    Args:
        paths: Paths of all scans.
        pattern: Pattern of the scans that are used.
        mask: Pattern of the masks, or None.
        given: Whether the user named the pattern.
    """
    taken = {path for path in paths if finding.matches(pattern, path)}
    rest = [p for p in paths if p not in taken and not (mask and finding.matches(mask, p))]
    lines = [f"scans: {len(taken)} of {len(paths)} in the folder match"]
    if not given:
        wanted = WANTED.search(_shared(pattern))
        why = f"for '{wanted[0]}' in their name" if wanted else "for most subjects have one"
        lines.append(f"chosen: {pattern}, {why}")
    counts = _candidates(rest)
    listed: list[str] = []
    while counts and len(listed) < SHOWN:
        other = max(counts, key=lambda found: (len(counts[found]), len(found)))
        files = [path for path in rest if finding.matches(other, path)]
        if len(counts[other]) < 2 or not files:
            break
        listed.append(f"{other} ({len(counts[other])} subjects)")
        rest = [path for path in rest if path not in files]
        counts = _candidates(rest)
    if listed:
        lines.append(f"other scans: {', '.join(listed)}; --pattern takes one of them")
    if rest:
        lines.append(f"not matched: {len(rest)}, {_listed(rest)}")
    visits = Counter(finding.matches(pattern, path) for path in taken)
    several = sorted(subject for subject, count in visits.items() if count > 1 and subject)
    if several:
        lines.append(
            f"several scans: of {_listed(several)}; name one visit in --pattern, in place of *"
        )
    return lines


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _readings(path: str) -> list[tuple[str, str]]:
    """Return the patterns that a path may belong to, each with its subject.

    Dates and sessions are never subjects, and become `*` in a pattern.
    """
    *folders, name = path.split("/")
    found = []
    for depth, subject in enumerate(folders):
        whole = rf"(?<![A-Za-z0-9]){re.escape(subject)}(?![A-Za-z0-9])"
        rest = [
            "{subject}".join(map(_general, re.split(whole, part)))
            for part in [*folders[depth + 1 :], name]
        ]
        found.append(("*/" * depth + "{subject}/" + "/".join(rest), subject))
    if not folders:
        ending = next(image for image in finding.IMAGES if name.endswith(image))
        parts = re.split(r"(?=[_.-])", name.removesuffix(ending))
        for end in range(1, len(parts) + 1):
            subject = "".join(parts[:end])
            found.append(("{subject}" + _general("".join(parts[end:])) + ending, subject))
    return [
        (pattern, subject)
        for pattern, subject in found
        if re.fullmatch(finding.SUBJECT, subject) and not VISIT.fullmatch(subject)
    ]


def _general(text: str) -> str:
    """Return a part of a path in the form of a pattern: visits as `*`, the rest literal."""
    return "*".join(re.sub(r"[\[*?]", r"[\g<0>]", part) for part in WITHIN.split(text))


def _stripped(data: np.ndarray, name: str) -> tuple[bool, str]:
    """Return whether a scan looks skull-stripped, and why."""
    planes = [np.take(data, at, axis) for axis in range(3) for at in (0, -1)]
    empty = float(np.mean([np.mean(plane == 0) for plane in planes]))
    where = f"{100 * empty:.0f} % of the outermost voxels of {name} are 0"
    return empty >= EMPTY, f"guessed, for {where}; correct it if wrong"


def _flow(value: object) -> str:
    """Return a mapping, a list or a scalar as YAML in one line."""
    import yaml

    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True
    )
    return text.strip().removesuffix("...").strip()
