"""Whether a model was trained long enough to represent its method, judged without its scores."""

import csv
from collections.abc import Mapping
from pathlib import Path

from mrisr.common.errors import InputError

#: Share of the published steps; a model with fewer is a trial.
FEW_STEPS = 0.1
#: A validation loss still falls if it falls by more than `FALLING` over the last `LAST` of a
#: training. With fewer than `ROWS` values this is unknown.
LAST, FALLING, ROWS = 0.1, 0.01, 10


def loss_fell(folder: str | Path) -> float | None:
    """Return the share by which the best validation loss fell over the last tenth of a training.

    Args:
        folder: Folder of a model; its `log.csv` has one row for each epoch.

    Returns:
        0 to 1; None if unknown.

    Raises:
        InputError: The log is damaged.
    """
    file = Path(folder) / "log.csv"
    if not file.is_file():
        return None
    try:
        with file.open(encoding="utf-8", newline="") as text:
            losses = [float(row["val_loss"]) for row in csv.DictReader(text)]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: damaged ({error}); train the model again") from None
    if len(losses) < ROWS:
        return None
    before = min(losses[: -max(1, round(LAST * len(losses)))])
    return max(0.0, 1 - min(losses) / before) if before > 0 else None


def time_budget(description: Mapping) -> tuple[float, bool] | None:
    """Return the minutes after which its time budget ended a training of this study, else None.

    Args:
        description: Content of `model.json`, or that of models of one subject each, whose `ended`
            is a list. Then the budget counts if it ended any of them.

    Returns:
        The minutes, and whether they are processor time (of all cores) instead of wall time.
    """
    ended, minutes = description.get("ended"), description.get("minutes_asked")
    stopped = "time budget" in (ended if isinstance(ended, list) else [ended])
    elsewhere = description.get("imported") or description.get("shipped")
    if not stopped or not minutes or elsewhere:
        return None
    return minutes, (description.get("training") or {}).get("clock", "wall") == "processor"


def minutes_text(minutes: float, processor: bool) -> str:
    """Return a time budget in words."""
    unit = "minute" if minutes == 1 else "minutes"
    return f"{minutes:g} {unit}{' of processor time' if processor else ''}"


def too_short(description: Mapping, published_steps: int | None) -> bool:
    """Say whether a model had fewer than a tenth of the published steps, or was still learning.

    Args:
        description: Content of `model.json`, with `loss_fell`; or that of models of one subject
            each, whose `steps` are a list. Then the shortest training counts.
        published_steps: Published steps of the method, None if unknown.
    """
    steps = description.get("steps")
    done = [entry for entry in steps if entry is not None] if isinstance(steps, list) else [steps]
    least = min((entry for entry in done if entry is not None), default=None)
    if least is not None and published_steps:
        if least >= published_steps:
            return False
        if least < FEW_STEPS * published_steps:
            return True
    return (description.get("loss_fell") or 0.0) > FALLING
