"""The values that the papers print, as they lie in config/published."""

from pathlib import Path

import pandas as pd
import pytest

from mrisr.volumes.regions import REGIONS

PUBLISHED = Path(__file__).parents[3] / "config" / "published"
COLUMNS = ["dataset", "scale", "method", "metric", "region", "mean", "std"]
METHODS = ["cubic", "srcnn3d", "dcsrn", "rescnn", "arssr_rdn"]
METRICS = ["psnr", "ssim", "lpips", "psi", "lpc_si"]


def read(name):
    return pd.read_csv(PUBLISHED / f"{name}.csv")


def mean(table, metric, scale, method):
    """The mean of a metric at a scale."""
    chosen = table.query("metric == @metric and scale == @scale and method == @method")
    return chosen["mean"].item()


def best(table):
    """Who is best by metric and scale."""
    found = {}
    for (metric, scale), rows in table.groupby(["metric", "scale"]):
        means = rows.set_index("method")["mean"]
        found[metric, scale] = means.idxmin() if metric == "lpips" else means.idxmax()
    return found


@pytest.mark.parametrize(
    ("name", "dataset", "scales", "methods", "sums"),
    [
        (
            *("arssr_table1", "hcp1200", [2, 2.5, 3, 3.5, 4], METHODS),
            {"psnr": 815.42, "ssim": 23.4199, "lpips": 3.1782, "psi": 6.4286, "lpc_si": 23.2989},
        ),
        (
            *("arssr_table2", "lesion_brain", [2, 3, 4], METHODS),
            {"psnr": 444.19, "ssim": 13.1667, "lpips": 1.4637, "psi": 3.2437, "lpc_si": 14.4080},
        ),
        (
            *("arssr_table3", "hcp1200", [2, 2.5, 3, 3.5, 4]),
            ["arssr_rescnn", "arssr_srresnet", "arssr_rdn"],
            {"psnr": 508.55, "ssim": 14.1662, "lpips": 1.2925, "psi": 4.1688, "lpc_si": 14.1363},
        ),
    ],
)
def test_quality_tables_of_arssr_are_whole(name, dataset, scales, methods, sums):
    table = read(name)
    assert table.columns.tolist() == COLUMNS and not table.isna().any().any()
    assert len(table) == len(scales) * len(methods) * len(METRICS)
    assert not table.duplicated(["scale", "method", "metric"]).any()
    assert set(table["dataset"]) == {dataset} and set(table["region"]) == {"volume"}
    assert sorted(set(table["scale"])) == scales and set(table["method"]) == set(methods)
    ranges = {
        **{"psnr": (21, 40), "ssim": (0.75, 0.99), "lpips": (0.01, 0.33)},
        **{"psi": (0.16, 0.35), "lpc_si": (0.90, 0.98)},
    }
    for metric, (low, high) in ranges.items():
        assert table.loc[table["metric"] == metric, "mean"].between(low, high).all()
    assert table["std"].between(0.003, 3.3).all()
    # The sums guard each digit against a slip of the editor.
    assert table.groupby("metric")["mean"].sum().round(4).to_dict() == sums


def test_table_1_of_arssr_holds_what_its_text_says():
    table = read("arssr_table1")
    winners = best(table)
    for scale in (2, 2.5, 3, 3.5, 4):
        # "In terms of PSNR and SSIM, ResCNN achieves the best performance for all the scale cases;
        # while our ArSSR model only score higher than cubic interpolation."
        assert winners["psnr", scale] == winners["ssim", scale] == "rescnn"
        psnr = [mean(table, "psnr", scale, method) for method in METHODS]
        assert sorted(psnr)[:2] == [psnr[0], psnr[-1]]
    # "In terms of LPIPS, PSI, and LPC-SI, ArSSR provides the best performance in most cases."
    perceptual = [winners[m, k] for m in METRICS[2:] for k in (2, 2.5, 3, 3.5, 4)]
    assert perceptual.count("arssr_rdn") > len(perceptual) / 2


def test_table_2_of_arssr_holds_what_its_text_says():
    table = read("arssr_table2")
    winners = best(table)
    # "In terms of PSNR and SSIM the proposed ArSSR model has low scores; in terms of LPIPS, PSI,
    # and LPC-SI it obtains the best performance in most of the scales."
    for scale in (2, 3, 4):
        assert mean(table, "psnr", scale, "arssr_rdn") == min(
            mean(table, "psnr", scale, method) for method in METHODS
        )
        assert "arssr_rdn" not in (winners["psnr", scale], winners["ssim", scale])
    # That holds of LPIPS, and of LPC-SI with the tie at 3x; not of PSI.
    assert [winners["lpips", k] for k in (2, 3, 4)] == ["rescnn", "arssr_rdn", "arssr_rdn"]
    assert [winners["psi", k] for k in (2, 3, 4)] == ["rescnn", "arssr_rdn", "rescnn"]
    assert mean(table, "lpc_si", 3, "rescnn") == mean(table, "lpc_si", 3, "arssr_rdn") == 0.9678
    assert winners["lpc_si", 4] == "arssr_rdn"


def test_only_the_cubic_row_of_table_1_has_the_psnr_of_a_wrong_gain():
    # What docs/reproducing.md infers: a structure that is right at a PSNR that is not.
    first, second = read("arssr_table1"), read("arssr_table2")
    assert mean(first, "psnr", 2, "cubic") < 25 and mean(first, "ssim", 2, "cubic") > 0.95
    assert mean(second, "psnr", 2, "cubic") == 33.0
    others = [mean(first, "psnr", 2, method) for method in METHODS[1:]]
    assert min(others) - mean(first, "psnr", 2, "cubic") > 10
    others = [mean(second, "psnr", 2, method) for method in METHODS[1:]]
    assert max(others) - mean(second, "psnr", 2, "cubic") < 3


def test_table_3_of_arssr_holds_what_its_text_says_and_repeats_table_1():
    table, first = read("arssr_table3"), read("arssr_table1")
    rdn = table["method"] == "arssr_rdn"
    again = first[first["method"] == "arssr_rdn"]
    assert table[rdn].reset_index(drop=True).equals(again.reset_index(drop=True))
    wanted = {
        **{"psnr": "arssr_rescnn", "ssim": "arssr_rescnn", "lpc_si": "arssr_srresnet"},
        **{"lpips": "arssr_rdn", "psi": "arssr_rdn"},
    }
    assert all(method == wanted[metric] for (metric, _), method in best(table).items())


def test_table_4_of_arssr_is_whole_and_its_means_are_those_of_its_regions():
    table = read("arssr_table4")
    assert table.columns.tolist() == ["dataset", "scale", "method", "region", "metric", "mean"]
    assert len(table) == 5 * 5 * 7 * 2 and not table.isna().any().any()
    keys = ["scale", "method", "region", "metric"]
    assert not table.duplicated(keys).any()
    assert set(table["scale"]) == {2, 2.5, 3, 3.5, 4} and set(table["dataset"]) == {"hcp1200"}
    assert set(table["method"]) == set(METHODS) and set(table["region"]) == {*REGIONS, "mean"}
    wide = table.pivot(index=["scale", "method", "metric"], columns="region", values="mean")
    # The paper's "Total Means" are those of its six regions, to rounding.
    assert (wide[list(REGIONS)].mean(axis=1) - wide["mean"]).abs().max() < 1.01e-4
    pair = table.pivot(index=["scale", "method", "region"], columns="metric", values="mean")
    # Mean IoU is at least Dice / (2 - Dice) of the mean Dice, as that is a convex function.
    assert (pair["iou"] - pair["dice"] / (2 - pair["dice"])).min() > -1.5e-4
    # "Except for that when the scale k = 4, ResCNN slightly outperforms the ArSSR model on White
    # Matter (Dice: 0.9317 vs 0.9284, IoU: 0.8721 vs 0.8664), ArSSR achieves the best performance
    # on all segmentation regions for all scales."
    assert pair.loc[(4, "rescnn", "white_matter")].tolist() == [0.9317, 0.8721]
    assert pair.loc[(4, "arssr_rdn", "white_matter")].tolist() == [0.9284, 0.8664]
    regions = table[table["region"] != "mean"]
    for (scale, region, _), rows in regions.groupby(["scale", "region", "metric"]):
        winner = rows.set_index("method")["mean"].idxmax()
        assert winner == ("rescnn" if (scale, region) == (4, "white_matter") else "arssr_rdn")


def test_table_1_of_coord_is_whole_and_holds_what_its_text_says():
    table = read("coord_table1")
    assert table.columns.tolist() == COLUMNS and table["std"].isna().all()
    assert not table.drop(columns="std").isna().any().any()
    assert not table.duplicated(["scale", "method", "metric"]).any()
    scales = table.groupby("method")["scale"].agg(lambda its: sorted(set(its))).to_dict()
    every = [1.5, 2, 3]
    # conv has no values where it was not trained: "-" in the paper.
    assert scales == {
        **dict.fromkeys(["bicubic", "coord", "coord_l0", "coord_2x"], every),
        **{"conv": [2], "conv_l10": [2]},
    }
    assert len(table) == 2 * (4 * 3 + 2)
    assert table.loc[table["metric"] == "vif", "mean"].between(0.6, 1).all()
    assert table.loc[table["metric"] == "psnr", "mean"].between(26, 35).all()
    sums = table.groupby("metric")["mean"].sum().round(2).to_dict()
    assert sums == {"psnr": 428.7, "vif": 11.67}
    # "Conv was slightly superior to coord in PSNR but slightly inferior in VIF."
    for ours, other in (("coord", "conv"), ("coord_2x", "conv_l10")):
        assert mean(table, "psnr", 2, ours) < mean(table, "psnr", 2, other)
        assert mean(table, "vif", 2, ours) > mean(table, "vif", 2, other)
    # "Bicubic interpolation achieves higher PSNR while coord, λ = 0 achieves higher VIF."
    assert mean(table, "psnr", 2, "bicubic") > mean(table, "psnr", 2, "coord")
    assert mean(table, "vif", 2, "coord_l0") > mean(table, "vif", 2, "coord")


def test_the_readers_of_coord_pool_to_what_is_printed():
    table = read("coord_table1_readers")
    assert table.columns.tolist() == ["reader", "score", "mean", "std"] and len(table) == 6
    # The scale goes from -2, much worse than conv, to +2, much better.
    assert table["mean"].between(-2, 2).all() and table["std"].between(0, 2).all()
    wide = table.pivot(index="reader", columns="score", values="mean")
    # Both readers saw the same pairs, so that pooling is averaging, to the printed digits.
    means = wide.loc[["1", "2"]].mean()
    assert (means - wide.loc["pooled"]).abs().max() < 0.011
    # "Coord is equivalent or slightly preferable to conv."
    assert (wide > 0).all().all()
