"""Tables of results: who is named NA is somebody."""

import numpy as np
import pytest

from mrisr.common.errors import InputError
from mrisr.evaluate.measured import _read
from mrisr.evaluate.read_table import read_table
from mrisr.evaluate.subjects import Options, evaluate_files
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
    (series,) = _read({"skipped": False, "path": str(table)}).values()
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
