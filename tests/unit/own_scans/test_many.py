"""`mrisr sr` on many scans: BIDS derivatives, folders, lists of files, skull stripping, DICOM."""

import json
import os
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from mrisr.cli.main import app
from mrisr.common.errors import InputError
from mrisr.own_scans import many
from tiny_study import write_scan

NAMES = (
    "sub-01/anat/sub-01_T1w",
    "sub-02/ses-a/anat/sub-02_ses-a_acq-fast_FLAIR",
    "sub-02/ses-b/anat/sub-02_ses-b_T1w",
)
CUBIC = ("--method", "cubic", "--scale", 2)


@pytest.fixture
def bids(tmp_path, monkeypatch):
    """A BIDS folder with three scans, and things in it that are none."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(NAMES):
        write_scan(tmp_path / f"bids/{name}.nii.gz", number, (10, 9, 8))
    write_scan(tmp_path / "bids/sub-01/func/sub-01_task-rest_bold.nii.gz", 9, (10, 9, 8))
    write_scan(tmp_path / "bids/derivatives/x/sub-01/anat/sub-01_T1w.nii.gz", 9, (10, 9, 8))
    (tmp_path / "bids/dataset_description.json").write_text("{}")
    return tmp_path / "bids"


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def call(*words):
    done = CliRunner().invoke(app, ["sr", *map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done, " ".join(done.output.replace("│", " ").split())


def test_a_bids_folder_becomes_a_derivative(bids):
    done, _ = call(bids, *CUBIC)
    assert done.exit_code == 0, done.output
    made = bids / "derivatives/mrisr"
    found = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    volumes = {
        "sub-01/anat/sub-01_desc-sr_T1w",
        "sub-02/ses-a/anat/sub-02_ses-a_acq-fast_desc-sr_FLAIR",
        "sub-02/ses-b/anat/sub-02_ses-b_desc-sr_T1w",
    }
    endings = (".nii.gz", ".json")
    assert found == {"dataset_description.json"} | {n + e for n in volumes for e in endings}
    about = json.loads((made / "dataset_description.json").read_text())
    assert about["DatasetType"] == "derivative" and about["GeneratedBy"][0]["Name"] == "mrisr"
    assert about["DatasetLinks"] == {"raw": "../.."}
    sidecar = json.loads((made / "sub-01/anat/sub-01_desc-sr_T1w.json").read_text())
    assert sidecar["Sources"] == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"]
    assert "SkullStripped" not in sidecar  # nobody said so
    assert nib.load(made / "sub-01/anat/sub-01_desc-sr_T1w.nii.gz").shape == (20, 18, 16)

    # The same command goes on where it ended, and a derivative is no input.
    first = made / "sub-01/anat/sub-01_desc-sr_T1w.nii.gz"
    os.utime(first, (1, 1))
    assert call(bids, *CUBIC)[0].exit_code == 0 and first.stat().st_mtime == 1
    assert call(bids, *CUBIC, "--force")[0].exit_code == 0 and first.stat().st_mtime > 1


def test_what_cannot_be_used_is_named_at_the_end(bids):
    (bids / f"{NAMES[0]}.nii.gz").write_bytes(b"no scan")
    done, said = call(bids, *CUBIC, "-o", "out")
    assert done.exit_code == 1 and "1 of 3 scans could not be used" in said
    assert len(list((bids.parent / "out").rglob("*.nii.gz"))) == 2
    assert (bids.parent / "out/dataset_description.json").exists()


def test_files_and_other_folders(bids):
    flat = bids.parent / "flat"
    flat.mkdir()
    for number, name in enumerate(NAMES[:2]):
        shutil.copy(bids / f"{name}.nii.gz", flat / f"scan{number}.nii.gz")
    assert call(flat, *CUBIC, "-o", "out")[0].exit_code == 0
    assert names("out") == ["scan0_sr.nii.gz", "scan1_sr.nii.gz"]
    files = sorted(flat.iterdir())
    assert call(*files, "--each", *CUBIC, "-o", "each")[0].exit_code == 0
    assert names("each") == names("out")
    done, said = call(*files, *CUBIC)
    assert done.exit_code == 2 and "--each" in said
    (flat / "more").mkdir()
    shutil.copy(files[0], flat / "more")
    with pytest.raises(InputError, match=r"would both become out/scan0_sr\.nii\.gz"):
        many.tasks([flat, flat / "more"], Path("out"))


def test_dicom_and_empty_folders_are_told_apart(bids):
    series = bids.parent / "my series/1"
    series.mkdir(parents=True)
    with pytest.raises(InputError, match="holds no NIfTI file"):
        many.tasks([series.parent], None)
    (series / "IM0001").write_bytes(bytes(128) + b"DICM" + bytes(20))
    with pytest.raises(InputError, match=r"dcm2niix -z y -o OUT '.*my series'; then mrisr sr OUT"):
        many.tasks([series.parent], None)
    assert "dcm2niix -z y -o OUT FOLDER" in call(series / "IM0001", *CUBIC)[1]
    shutil.rmtree(bids)
    (bids / "sub-01/func").mkdir(parents=True)
    with pytest.raises(InputError, match="a BIDS folder without a scan in sub-"):
        many.tasks([bids], None)


TOOL = """#!{python}
import sys
import nibabel as nib, numpy as np
words = sys.argv
scan = nib.load(words[words.index("-i") + 1])
data = scan.get_fdata()
data[: len(data) // 2] = 0
nib.save(nib.Nifti1Image(data.astype("f4"), scan.affine @ np.diag([{edge}, 1, 1, 1])),
         words[words.index("-o") + 1])
sys.exit({code})
"""


def test_skulls_are_stripped_by_what_is_installed(bids, monkeypatch):
    scan, place = bids / f"{NAMES[0]}.nii.gz", bids.parent / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", str(place))
    words = (scan, *CUBIC, "-o", "out.nii.gz", "--strip", "--force")
    done, said = call(*words)
    assert done.exit_code == 1 and "neither SynthStrip (mri_synthstrip" in said

    def install(name, edge=1, code=0):
        (place / name).write_text(TOOL.format(python=sys.executable, edge=edge, code=code))
        (place / name).chmod(0o755)

    install("hd-bet")
    done, said = call(*words)
    assert done.exit_code == 0 and "stripped by hd-bet" in said, said
    made = nib.load("out.nii.gz").get_fdata()
    whole = np.abs(nib.load(scan).get_fdata()).max()
    assert made[:8].max() < 0.05 * made[10:].max() and made.max() <= whole
    install("mri_synthstrip", edge=2)  # comes first
    assert "mri_synthstrip wrote it on another grid" in call(*words)[1]
    install("mri_synthstrip", code=3)
    assert "mri_synthstrip failed (it said nothing)" in call(*words)[1]
    install("mri_synthstrip")
    assert call(bids, *CUBIC, "--strip")[0].exit_code == 0
    sidecar = bids / "derivatives/mrisr/sub-01/anat/sub-01_desc-sr_T1w.json"
    assert json.loads(sidecar.read_text())["SkullStripped"] is True
    assert call(scan, scan, "--strip", *CUBIC)[0].exit_code == 2
