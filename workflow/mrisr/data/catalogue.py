"""What is known about datasets and what of them is on disk: `mrisr data list` and `describe`."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrisr.common.errors import InputError, MrisrError
from mrisr.common.layout import SPLITS
from mrisr.common.text import size, wrapped
from mrisr.data import datasets
from mrisr.data.datasets import Dataset


@dataclass(frozen=True)
class OnDisk:
    """What of a dataset is on disk.

    Attributes:
        folder: Where its scans lie, or would be put.
        files: Scans there, of the dataset's subjects.
        bytes: Size of these scans.
        all_bytes: Size of everything in the folder, if it is a folder for downloads.
    """

    folder: Path
    files: int
    bytes: int
    all_bytes: int


def scan_path(dataset: Dataset, subject: str, downloads: str | Path) -> Path | None:
    """Return where a subject's scan lies, or None if it is not on disk; it is not opened.

    Args:
        dataset: From `mrisr.data.datasets.load`.
        subject: One of its subjects.
        downloads: Folder for downloads, `downloads` of the study's config.

    Raises:
        InputError: The dataset has a folder, and no file or several match there.
    """
    if dataset.folder is not None:
        return dataset.local_file(subject)
    folder = Path(downloads).expanduser() / dataset.name
    if dataset.kind == "bundled":
        # A folder for each version of what made them; the workflow makes its own anew.
        found = sorted(folder.glob(f"*/{subject}_*.nii.gz"), key=lambda path: path.stat().st_mtime)
        return found[-1] if found else None
    path = folder / dataset.spec["source"]["pattern"].replace("{subject}", subject)
    return path if path.exists() or path.is_symlink() else None


def on_disk(dataset: Dataset, downloads: str | Path) -> OnDisk:
    """Look at what of a dataset is on disk.

    Args:
        dataset: From `mrisr.data.datasets.load`.
        downloads: Folder for downloads.
    """
    sizes = []
    for subject in _subjects(dataset):
        try:
            path = scan_path(dataset, subject, downloads)
            sizes += [path.stat().st_size] if path is not None else []
        except (InputError, OSError):
            continue  # `mrisr data check` says what is wrong with it
    if dataset.folder is not None:
        return OnDisk(dataset.folder, len(sizes), sum(sizes), sum(sizes))
    folder = Path(downloads).expanduser() / dataset.name
    every = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return OnDisk(folder, len(sizes), sum(sizes), sum(every))


def expected_bytes(dataset: Dataset, found: OnDisk) -> int | None:
    """Return about how large all scans of a dataset are, None if nothing is known about it."""
    subjects = _subjects(dataset)
    stated = [dataset.checksums.get(subject, {}).get("bytes") for subject in subjects]
    known = [size for size in stated if size is not None]
    if known and len(known) == len(stated):
        return sum(known)
    if "megabytes" in dataset.spec.get("scan", {}):
        return round(dataset.spec["scan"]["megabytes"] * 1e6 * len(subjects))
    return round(found.bytes / found.files * len(subjects)) if found.files else None


def listing(plugins: Sequence[str | Path], downloads: str | Path) -> str:
    """Return a few lines on every dataset that is found.

    Args:
        plugins: Further folders with `datasets/<name>.yaml`.
        downloads: Folder for downloads.

    Raises:
        ConfigError: A name is taken twice, or cannot be used in paths.
    """
    blocks = []
    for name in datasets.names(plugins):
        try:
            dataset = datasets.load(name, None, plugins, downloads)
        except MrisrError as error:
            blocks.append(_block(name, ["cannot be used: " + " ".join(str(error).split())]))
            continue
        found = on_disk(dataset, downloads)
        facts = [
            "; ".join(filter(None, [_count(dataset), _scan(dataset)])),
            dataset.lacking,
            "" if dataset.needs_folder else f"{_source(dataset)}; {_disk(dataset, found)}",
            f"licence: {textwrap.shorten(dataset.spec['licence'], 80, placeholder=' ...')}",
        ]
        blocks.append(_block(title(dataset), filter(None, facts)))
    return "\n".join(blocks)


def description(dataset: Dataset, downloads: str | Path) -> str:
    """Return all that is known about a dataset, as lines of at most 100 characters.

    Args:
        dataset: From `mrisr.data.datasets.load`.
        downloads: Folder for downloads.
    """
    rows = [row for row in _facts(dataset, on_disk(dataset, downloads)) if row[1]]
    width = 2 + max(len(key) for key, _ in rows)
    lines = [title(dataset)]
    for key, text in rows:
        lines += wrapped(f"{key:<{width}}{text}", "  ", "  " + " " * width)
    return "\n".join(lines)


def _facts(dataset: Dataset, found: OnDisk) -> Iterator[tuple[str, str]]:
    """Yield what there is to say about a dataset: a key and a text, which may be empty."""
    spec, source = dataset.spec, dataset.spec["source"]
    yield "about", spec["description"]
    yield "licence", spec["licence"]
    yield "citation", spec["citation"]
    yield "doi", spec["doi"] and f"https://doi.org/{spec['doi']}"
    yield "homepage", spec["url"]
    yield "access", spec.get("access", "")
    yield "source", _source(dataset)
    for key, value in source.items():
        if key not in ("kind", "pattern", "folder"):
            yield key, _rule(value) if isinstance(value, dict) else str(value)
    yield "scan", "; ".join(filter(None, [spec["modality"], _scan(dataset), _skull(spec)]))
    yield "subjects", _count(dataset)
    yield "split", _split(dataset)
    yield "", dataset.lacking
    published = sum(
        1 for checksums in dataset.checksums.values() if "sha256" in checksums or "md5" in checksums
    )
    if dataset.folder is None and dataset.kind not in ("bundled", "folder"):
        rest = "all" if not published else "the others"
        yield (
            "checksums",
            f"published for {published} of {len(_subjects(dataset))} files;"
            f" {rest} are recorded at the first download and verified from then on"
            if published < len(_subjects(dataset))
            else "published for all files",
        )
    yield "crop", _rule(spec["crop"])
    yield "mask", _rule(spec["mask"])
    yield "intensity", dataset.intensity
    place = source.get("pattern", "found by the rules of BIDS")
    yield "files", place if dataset.kind != "bundled" else ""
    if "format" in spec:
        yield "format", _rule(spec["format"])
    if not dataset.needs_folder:
        yield "folder", str(found.folder)
        yield "on disk", _disk(dataset, found)
    yield "defined in", str(dataset.path)


def title(dataset: Dataset) -> str:
    """Return the name of a dataset, with its label if that is another one."""
    same = dataset.name == dataset.label
    return dataset.name if same else f"{dataset.name}: {dataset.label}"


def _block(head: str, facts: Iterable[str]) -> str:
    lines = [line for fact in facts for line in wrapped(fact, "  ", "    ")]
    return "\n".join([head, *lines])


def _subjects(dataset: Dataset) -> list[str]:
    return [subject for split in SPLITS for subject in dataset.subjects[split]]


def _count(dataset: Dataset) -> str:
    parts = [f"{len(names)} {split}" for split, names in dataset.subjects.items() if names]
    total = len(_subjects(dataset))
    if not total:
        return "subjects not known"
    return f"{total} subject{'s' if total != 1 else ''} ({', '.join(parts)})"


def _scan(dataset: Dataset) -> str:
    about = dataset.spec.get("scan", {})
    shape = " x ".join(map(str, about.get("shape", ())))
    edges = " x ".join(f"{edge:g}" for edge in about.get("voxel_size", ()))
    parts = [shape, "voxels" if about else "", f"of {edges} mm" if edges else ""]
    return " ".join(filter(None, parts))


def _skull(spec: dict) -> str:
    return "skull-stripped" if spec["skull_stripped"] else "with skull"


def _source(dataset: Dataset) -> str:
    if dataset.folder is not None:
        return "a folder"
    return {
        "folder": "a folder of yours",
        "bundled": "simulated here",
        "https": "download",
        "s3": "download (S3)",
    }.get(dataset.kind, dataset.kind)


def _disk(dataset: Dataset, found: OnDisk) -> str:
    total = len(_subjects(dataset))
    expected = expected_bytes(dataset, found)
    about = f"about {size(expected)} in all" if expected else "size not known"
    about = about if found.files < total else ""
    here = f"{found.files} of {total} scans on disk, {size(found.bytes)}"
    if not found.files:
        here = "nothing on disk yet"
    more = found.all_bytes - found.bytes
    other = f"{size(more)} of other files" if more else ""
    return ", ".join(filter(None, [here, other, about]))


def _split(dataset: Dataset) -> str:
    if dataset.drawn is not None:
        return f"drawn by the study: {_rule(dict(dataset.drawn))}"
    if dataset.split_file is None:
        return "all subjects of the folder are test subjects"
    return str(dataset.split_file)


def _rule(rule: dict) -> str:
    """Return a mapping in words: its kind, and what else it says."""
    rest = [f"{key} {value}" for key, value in rule.items() if key != "kind"]
    return ", ".join([*([rule["kind"]] if "kind" in rule else []), *rest])
