"""A metric whose controls are out of order is found; noise alone is not."""

import numpy as np
import pandas as pd
import pytest

from mrisr.evaluate.controls import out_of_order
from mrisr.evaluate.measured import Row

PSI, LPIPS, PSNR = ("psi", "volume"), ("lpips", "volume"), ("psnr", "volume")


def row(method, column, values, scale=2, **changes):
    cell = {
        **{"dataset": "d", "scale": scale, "method": method, "method_label": method.title()},
        **{"control": method in ("nearest", "truth"), "ground_truth": method == "truth"},
        **{"skipped": None, "path": f"{method}.csv", **changes},
    }
    index = [f"sub-{i}" for i in range(len(values))]
    return Row(cell, {column: pd.Series(values, index, dtype=float)}, [])


def test_nearest_above_the_truth_is_named_with_both_values():
    rows = [
        row("nearest", PSI, [0.91, 0.92]),
        row("cubic", PSI, [0.2, 0.21]),
        row("net", PSI, [0.99, 0.99]),
        row("truth", PSI, [0.37, 0.38]),
    ]
    found = out_of_order(rows, [PSI], "cubic")
    assert found == {("d", PSI): "Nearest (0.9150) is better than Cubic (0.2050) at 2×"}
    # A method that is no control may be better than the ground truth.
    assert out_of_order(rows[1:], [PSI], "cubic") == {}
    assert "Truth (0.3750)" in out_of_order(rows, [PSI], None)["d", PSI]


def test_lower_is_better_where_the_metric_says_so():
    rows = [row("nearest", LPIPS, [0.3, 0.3]), row("truth", LPIPS, [0.0, 0.0])]
    assert out_of_order(rows, [LPIPS], None) == {}
    rows[1] = row("truth", LPIPS, [0.4, 0.4])
    assert ("d", LPIPS) in out_of_order(rows, [LPIPS], None)


@pytest.mark.parametrize(
    ("lead", "found"),
    [
        ([0.1, 0.1], True),
        ([0.1, -0.01], False),  # of few subjects all must agree
        ([0.1, 0.2, 0.15, 0.1, 0.2], True),
        ([1, -1, 1, -1, 0.5], False),  # better in the mean, and not beyond chance
    ],
)
def test_only_what_is_beyond_chance_counts(lead, found):
    base = np.full(len(lead), 30.0)
    rows = [row("nearest", PSNR, base + lead), row("cubic", PSNR, base)]
    assert bool(out_of_order(rows, [PSNR], "cubic")) is found


def test_what_is_missing_or_infinite_is_in_order():
    rows = [row("nearest", PSNR, [30.0]), row("truth", PSNR, [np.inf]), row("cubic", PSI, [0.2])]
    assert out_of_order(rows, [PSNR, PSI], "cubic") == {}
    reference = row("reference", PSI, [0.1], control=True, reference=True)
    assert out_of_order([reference, row("cubic", PSI, [0.2])], [PSI], "cubic") == {}
