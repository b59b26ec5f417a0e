"""What two methods reconstructed in the results of a study, found in its folder."""

from collections.abc import Sequence
from pathlib import Path

from mrisr.common.errors import InputError
from mrisr.common.layout import Layout, scale_name, subject_of
from mrisr.common.schema import nearest
from mrisr.readers.pairs import Item

SUFFIX = ".nii.gz"
#: The ground truth itself, super-resolved, tells readers more than its reconstruction from LR.
RECONSTRUCTED = ("beyond", "sr")


def found_items(
    results: str | Path,
    methods: Sequence[str],
    scale: float | None = None,
    dataset: str | None = None,
) -> list[Item]:
    """Return what both of two methods reconstructed.

    Args:
        results: `results/<study>`.
        methods: Two names.
        scale: None if there is one alone.
        dataset: None if there is one alone.

    Raises:
        InputError: There is nothing, or more than one dataset or scale to choose from.
    """
    results = Path(results)
    first, second = methods
    if first == second:
        raise InputError(f"methods: {first} twice; give two that differ")
    for stage in RECONSTRUCTED:
        cells = _cells(results, stage)
        places = [(d, k) for d, method, k in cells if method == first]
        places = [place for place in places if (place[0], second, place[1]) in cells]
        asked = [
            (d, k)
            for d, k in places
            if dataset in (None, d) and (scale is None or k == scale_name(scale))
        ]
        if not asked:
            continue
        for what, key in (("dataset", 0), ("scale", 1)):
            if len(different := dict.fromkeys(place[key] for place in asked)) > 1:
                raise InputError(f"{results}: holds several: {', '.join(different)}; give --{what}")
        return _items(results, stage, methods, *asked[0])
    known = dict.fromkeys(cell[1] for stage in RECONSTRUCTED for cell in _cells(results, stage))
    for name in methods:
        if name not in known:
            raise InputError(
                f"{results}: holds no reconstructions by '{name}': {nearest(name, list(known))}"
            )
    raise InputError(
        f"{results}: {first} and {second} have no dataset and scale in common that is asked for;"
        " reconstruct it first, or ask for another"
    )


def _cells(results: Path, stage: str) -> set[tuple[str, str, str]]:
    """Return dataset, method and scale of every folder that holds images."""
    return {
        (path.parts[-3], path.parts[-2], path.name[1:])
        for path in sorted(results.glob(f"{stage}/*/*/x*"))
        if any(path.glob(f"*{SUFFIX}"))
    }


def _items(
    results: Path, stage: str, methods: Sequence[str], dataset: str, scale: str
) -> list[Item]:
    layout = Layout(results.name, results.parent)
    path = getattr(layout, stage)
    names = [
        {file.name for file in Path(path(dataset, method, scale, "x")).parent.glob(f"*{SUFFIX}")}
        for method in methods
    ]
    if apart := sorted(names[0] ^ names[1]):
        raise InputError(
            f"{results}/{stage}/{dataset}: {apart[0]} (of {len(apart)}) is there by one of"
            f" {' and '.join(methods)} alone; reconstruct the rest first"
        )
    items = [name.removesuffix(SUFFIX) for name in sorted(names[0])]
    return [
        Item(
            dataset,
            subject_of(item) or item,
            item,
            scale,
            {method: path(dataset, method, scale, item) for method in methods},
        )
        for item in items
    ]
