"""Scans in a folder: by the names that BIDS gives them, or by a pattern. No file is opened.

Light, because the Snakefile uses it at parse time.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mrisr.common.errors import InputError

#: How files that can hold a scan end.
NIFTI_SUFFIXES = (".nii.gz", ".nii")
IMAGES = (*NIFTI_SUFFIXES, ".mgz", ".mgh")
#: What a subject may be called: it names files.
SUBJECT = r"[A-Za-z0-9][A-Za-z0-9_-]*"


def bids_subjects(folder: Path) -> list[str]:
    """Return the subjects of a BIDS folder, or of a derivative in one, sorted.

    Raises:
        InputError: It holds no folder `sub-*`, or one whose name cannot be used.
    """
    found = sorted(path.name for path in folder.glob("sub-*") if path.is_dir())
    if not found:
        raise InputError(
            f"{folder} holds no folder sub-*; give the folder that has the subjects' folders in"
            " it, or describe other folders with source: {kind: folder, pattern: ...}"
        )
    _check_names(folder, found)
    return found


def bids_file(folder: Path, subject: str, source: Mapping, where: str = "source") -> Path:
    """Return the one scan of a subject in a BIDS folder.

    Args:
        folder: Has the subjects' folders in it.
        subject: Such as `sub-01`.
        source: Of a dataset file: `suffix` (default T1w), `datatype` (default anat), `session`
            and `entities`.
        where: The place of `source`, for messages.

    Raises:
        InputError: There is none, there are several, or a link leads nowhere.
    """
    suffix, datatype = source.get("suffix", "T1w"), source.get("datatype", "anat")
    session = source.get("session", "*").removeprefix("ses-")
    entities = source.get("entities", {})
    places = list((folder / subject).glob(f"ses-{session}/{datatype}"))
    if session == "*":
        places.append(folder / subject / datatype)
    endings = "|".join(map(re.escape, IMAGES))
    name = re.compile(rf"{subject}((?:_[A-Za-z]+-[A-Za-z0-9+]+)*)_{suffix}(?:{endings})")
    found = [
        path
        for place in places
        if place.is_dir()
        for path in place.iterdir()
        if (match := name.fullmatch(path.name)) and _agrees(match[1], entities)
    ]
    place = f"{subject}/{'' if session == '*' else f'ses-{session}/'}{datatype}"
    parts = [f"_{key}-{value}" for key, value in entities.items() if value is not None]
    without = [key for key, value in entities.items() if value is None]
    wanted = f"{place}/*{'*'.join(parts)}_{suffix}.nii.gz (or {', '.join(IMAGES[1:])})"
    wanted += f" without {' and '.join(without)}" if without else ""
    return _only(found, folder, wanted, f"set session, entities or pattern in {where}")


def _agrees(name: str, entities: Mapping) -> bool:
    """Tell whether the entities in a BIDS name are as asked; numbers may be padded with 0."""
    have = dict(part.split("-", 1) for part in name.split("_") if part)
    return all(_plain(have.get(key)) == _plain(value) for key, value in entities.items())


def _plain(value: object) -> str | None:
    return None if value is None else re.sub(r"^0+(?=\d)", "", str(value))


def pattern_subjects(folder: Path, pattern: str) -> list[str]:
    """Return the subjects whose files match a pattern, sorted.

    Args:
        folder: Where the pattern starts.
        pattern: See `pattern_file`. What stands at `{subject}` is taken as short as the rest of
            the pattern allows; where it stands twice, it must be the same.

    Raises:
        InputError: Nothing matches, or what stands at `{subject}` cannot name a subject.
    """
    _check_pattern(pattern)
    form = re.compile(_regex(pattern))
    paths = _matching(folder, pattern.replace("{subject}", "*"))
    matches = (form.fullmatch(path.relative_to(folder).as_posix()) for path in paths)
    found = sorted({match["subject"] for match in matches if match})
    if not found:
        raise InputError(
            f"{folder} holds no file {pattern.replace('{subject}', '*')}; correct source.pattern"
            " or the folder"
        )
    _check_names(folder, found)
    return found


def pattern_file(folder: Path, subject: str, pattern: str, remedy: str = "set pattern") -> Path:
    """Return the one file of a subject that matches a pattern.

    Args:
        folder: Where the pattern starts.
        subject: Takes the place of `{subject}`.
        pattern: A path inside the folder, with `{subject}` and the wildcards `*`, `?`, `[ab]`
            (none of which matches `/`) and `**/` (any folders). Hidden files do not match.
        remedy: What to do if several files match.

    Raises:
        InputError: There is none, there are several, or a link leads nowhere.
    """
    _check_pattern(pattern)
    wanted = pattern.replace("{subject}", subject)
    # Globbing a plain path would hide a broken link.
    plain = not re.search(r"[*?\[]", wanted)
    found = [folder / wanted] if plain else _subject_files(folder, subject, pattern)
    found = [path for path in found if path.exists() or path.is_symlink()]
    return _only(found, folder, wanted, remedy)


def pattern_files(folder: Path, subject: str, pattern: str) -> list[Path]:
    """Return all files of a subject that match a pattern, sorted; run-2 comes before run-10.

    Args:
        folder: Where the pattern starts.
        subject: Takes the place of `{subject}`.
        pattern: See `pattern_file`.

    Raises:
        InputError: There is none, or a link leads nowhere.
    """
    _check_pattern(pattern)
    wanted = pattern.replace("{subject}", subject)
    found = _subject_files(folder, subject, pattern)
    for path in found or [folder / wanted]:
        _only([path] if found else [], folder, str(path.relative_to(folder)), "")
    return sorted(found, key=lambda path: _natural(path.relative_to(folder).as_posix()))


def matches(pattern: str, path: str) -> str | None:
    """Return the subject whose file `path` is by a pattern with wildcards, or None.

    Args:
        pattern: See `pattern_file`.
        path: From the folder where the pattern starts, with `/`.
    """
    found = re.fullmatch(_regex(pattern), path)
    return found["subject"] if found else None


def shared_files(files: Mapping[str, Path | list[Path]]) -> dict[str, str]:
    """Return which files are found for two subjects: nobody can tell whose scan it is.

    A pattern such as `{subject}_*.nii.gz` gives P1 what is P1_2's.

    Args:
        files: The file or files of each subject.

    Returns:
        By the second subject of such a file, what is wrong and what to do.
    """
    first: dict[Path, str] = {}
    found = {}
    for subject, paths in files.items():
        for path in paths if isinstance(paths, list) else [paths]:
            other = first.setdefault(path, subject)
            if other != subject:
                found[subject] = (
                    f"{path} is found for {other} too; make the pattern say where a subject's name"
                    " ends, e.g. by a folder {subject}/"
                )
    return found


def match_subject(pattern: str, path: str) -> str | None:
    """Return the subject whose scan `path` is by a pattern with `{subject}`, or None.

    >>> match_subject("{subject}/T1w/{subject}.nii.gz", "100206/T1w/100206.nii.gz")
    '100206'
    """
    first, *rest = (re.escape(part) for part in pattern.split("{subject}"))
    wanted = f"{first}(?P<subject>{SUBJECT}){'(?P=subject)'.join(rest)}"
    found = re.fullmatch(wanted, path)
    return found["subject"] if found else None


def _check_pattern(pattern: str) -> None:
    """Refuse a wildcard beside `{subject}`: it would give P1 the scan of P10."""
    if re.search(r"[*?\]]\{subject\}|\{subject\}[*?\[]", pattern):
        raise InputError(
            f"pattern '{pattern}': a wildcard beside {{subject}} leaves open where a name ends; put"
            " what follows the name between them, e.g. {subject}_*"
        )


def _natural(text: str) -> list[tuple[int, str]]:
    parts = re.findall(r"\d+|\D+", text)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _subject_files(folder: Path, subject: str, pattern: str) -> list[Path]:
    """Return the files whose path, read by the pattern as a whole, is the subject's.

    The folder's own search proposes; what it makes of a pattern differs between versions of Python.
    """
    form = re.compile(_regex(pattern, re.escape(subject)))
    proposed = _matching(folder, pattern.replace("{subject}", subject))
    return [path for path in proposed if form.fullmatch(path.relative_to(folder).as_posix())]


def _matching(folder: Path, pattern: str) -> Iterator[Path]:
    for path in folder.glob(pattern):
        # macOS leaves a hidden ._scan.nii.gz beside each scan.nii.gz that it copies.
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _regex(pattern: str, subject: str = "[^/]+?") -> str:
    """Translate a pattern to a regular expression with the group `subject`.

    Args:
        pattern: See `pattern_file`.
        subject: Regular expression of a subject's name.
    """
    tokens = {
        "{subject}": f"(?P<subject>{subject})",
        "**/": "(?:.*/)?",
        "*": "[^/]*",
        "?": "[^/]",
    }
    known = re.compile(r"\{subject\}|\*\*/|\*|\?|\[!?[^\]]+\]")
    parts, end = [], 0
    for match in known.finditer(pattern):
        parts.append(re.escape(pattern[end : match.start()]))
        token, end = match[0], match.end()
        parts.append(tokens.get(token) or _one_of(token[1:-1]))
        tokens["{subject}"] = "(?P=subject)" if token == "{subject}" else tokens["{subject}"]
    return "".join([*parts, re.escape(pattern[end:])])


def _one_of(characters: str) -> str:
    """Return `[ab]` or `[!ab]` of a pattern as a regular expression."""
    for special in ("\\", "[", "^"):
        characters = characters.replace(special, f"\\{special}")
    return f"[^{characters[1:]}]" if characters.startswith("!") else f"[{characters}]"


def check_literal(path: str | Path) -> None:
    """Refuse a path with braces: as an input of a rule it would be read as one with wildcards.

    Raises:
        InputError: The path and what to do.
    """
    if re.search(r"[{}]", str(path)):
        raise InputError(
            f"{path}: Snakemake reads braces in a path as wildcards; rename it, or link to it under"
            " another name"
        )


def _only(found: list[Path], folder: Path, wanted: str, remedy: str) -> Path:
    if not found:
        raise InputError(f"no file {wanted}")
    if len(found) > 1:
        names = " and ".join(str(path.relative_to(folder)) for path in sorted(found))
        raise InputError(f"{len(found)} files match, {names}; {remedy}")
    if not found[0].exists():
        raise InputError(f"{wanted} is a link to nothing; if from DataLad, run `datalad get`")
    check_literal(found[0])
    return found[0]


def _check_names(folder: Path, subjects: Iterable[str]) -> None:
    wrong = [subject for subject in subjects if not re.fullmatch(SUBJECT, subject)]
    if wrong:
        raise InputError(
            f"{folder}: {', '.join(map(repr, wrong))} cannot name"
            f" {'a subject' if len(wrong) == 1 else 'subjects'}; rename to letters, digits, - and"
            " _, or list the subjects to use in a TSV"
        )
