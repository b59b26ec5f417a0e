"""Tables of results: who is named NA is somebody."""

from pathlib import Path

import numpy as np
import pytest

from mrisr.common.errors import InputError
from mrisr.evaluate.measured import _read
from mrisr.evaluate.read_table import read_table
from mrisr.evaluate.subjects import Options, evaluate_files
from mrisr.report import content
from mrisr.tables import from_files
from mrisr.volumes.io import Volume, save

NAMES = ["NA", "null", "nan", "001", "1e5", "None"]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    rows = [f"{name},psnr,volume,{number}.5" for number, name in enumerate(NAMES)]
    path.write_text("\n".join(["subject,metric,region,value", *rows, ""]))
    return path


def test_names_stay_what_they_are(table):
    assert read_table(table)["subject"].tolist() == NAMES
    assert read_table(table)["value"].tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]


def test_subjects_whose_names_look_like_missing_values_are_counted(table):
    (series,) = _read(table, slices=False).values()
    assert list(series.index) == NAMES


def test_what_is_missing_in_a_column_of_numbers_stays_missing(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("subject,value\nNA,\n,nan\nx,1\n")
    table = read_table(path)
    assert table["subject"].isna().tolist() == [False, True, False]
    np.testing.assert_array_equal(table["value"], [np.nan, np.nan, 1])


def test_semicolons_are_named(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text("reader;case;score\nR1;1;2\n")
    with pytest.raises(InputError, match=r"answers.csv: semicolons .* save it with commas"):
        read_table(path)


def test_a_file_name_may_hold_commas(tmp_path):
    data = np.random.default_rng(0).uniform(1, 9, (12, 12, 12)).astype(np.float32)
    files = [tmp_path / name for name in ("sr, final.nii.gz", "truth.nii.gz")]
    for file, gain in zip(files, (1, 1.1), strict=True):
        save(Volume(data * np.float32(gain), np.eye(4)), file)
    table = evaluate_files(*files, None, Options(["psnr"]))
    assert table["metric"].tolist() == ["psnr"]
    assert table["value"].notna().all()


def test_no_other_reader_of_tables_is_used():
    """A table read by pandas' own rules loses who is named NA."""
    package = Path(read_table.__code__.co_filename).parents[1]
    using = [file.name for file in package.rglob("*.py") if "read_csv(" in file.read_text()]
    assert using == ["read_table.py"]


@pytest.mark.parametrize("name", NAMES)
def test_tables_made_of_tables_keep_a_dataset_and_a_method_of_any_name(tmp_path, name):
    quality, published = tmp_path / "quality.csv", tmp_path / "published.csv"
    header = "dataset,method,scale,metric,region,mean,std,n,ci_low,ci_high,note"
    quality.write_text(f"{header}\n{name},{name},2,psnr,volume,30.5,1,2,,,\n")
    published.write_text(f"method,scale,metric,mean,std\n{name},2,psnr,30.50,\n")
    (printed,) = from_files._published([{"file": published}], as_printed=True).to_dict("records")
    assert (printed["method"], printed["mean"]) == (name, "30.50") and printed["std"] is np.nan
    facts = {"cells": [{"dataset": name, "dataset_label": "Ours"}]}
    (shown,) = content._rows(facts, read_table(quality)).values()
    assert shown


def test_benchmarks_of_snakemake_are_read_with_their_words_for_nothing(tmp_path):
    path = tmp_path / "benchmark.tsv"
    path.write_text("s\tmax_rss\tmean_load\n0.5\tNA\t-\n1.5\t300\t50\n")
    table = read_table(path, separator="\t", missing=("-", "NA"))
    assert table["s"].mean() == 1.0 and table["max_rss"].tolist()[1] == 300.0
    assert table[["max_rss", "mean_load"]].iloc[0].isna().all()
