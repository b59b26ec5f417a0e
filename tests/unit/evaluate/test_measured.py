"""Metrics of subjects as tables and figures read them."""

import os

import pytest

from mrisr.common import seals
from mrisr.common.errors import InputError
from mrisr.evaluate.measured import read_rows
from mrisr.evaluate.outliers import subject_values
from mrisr.figures.sweep import _points as sweep

TEXT = "subject,metric,region,value\nsub-1,psnr,volume,20.50\nsub-1,ssim,volume,0.9\n"


@pytest.mark.parametrize(
    "read", [lambda c: read_rows([c]), lambda c: subject_values([c]), lambda c: sweep([c])]
)
def test_a_number_edited_with_its_time_kept_is_refused(tmp_path, read):
    path = tmp_path / "x2.csv"
    seals.write(path, TEXT)
    cell = {
        **{"path": str(path), "skipped": None, "model": None, "learned": False, "value": 1},
        **{"dataset": "a", "scale": 2, "method": "cubic", "control": False},
    }
    read(cell)
    about = path.stat()
    path.write_text(TEXT.replace("20.50", "29.50"))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(InputError, match=r"x2\.csv: changed since it was made"):
        read(cell)
