"""Real stacks of thick slices in the workflow, from scans to table and figure."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from tiny_study import TINY_IREM, jobs

pytestmark = pytest.mark.workflow
# Stack, axis across its slices, how many scan voxels a slice is thick, gain of the scanner.
STACKS = ((1, 2, 4, 1.0), (2, 1, 4, 2.0), (10, 0, 4, 0.5))


@pytest.fixture
def study(tiny_study):
    """Three stacks each of two subjects, one of whom has two."""
    study = tiny_study(
        datasets={"own": {"subjects": {"test": ["sub-04", "sub-05"]}}},
        methods={"bspline": None, "irem": TINY_IREM},
        metrics=["psnr", "lpc_si"],
        baseline="bspline",
        scales=[4],
        degradation={"kind": "stacks"},
    )
    folder = study.folder / "own"
    folder.mkdir()
    for subject in ("04", "05"):
        scan = nib.load(study.scan(subject))
        data = np.asarray(scan.dataobj, np.float32)
        for number, axis, thick, gain in STACKS[: 3 if subject == "04" else 2]:
            n = data.shape[axis] // thick
            part = np.take(data, range(n * thick), axis=axis)
            shape = [*part.shape[:axis], n, thick, *part.shape[axis + 1 :]]
            low = gain * part.reshape(shape).mean(axis=axis + 1)
            affine = scan.affine.copy()
            affine[:3, axis] *= thick
            affine[:3, 3] += scan.affine[:3, axis] * (thick - 1) / 2
            for kind, content in (("run", low), ("mask", (low > 0).astype(np.uint8))):
                file = folder / f"sub-{subject}_{kind}-{number}.nii.gz"
                nib.save(nib.Nifti1Image(content, affine), file)
    about = {
        "label": "Own",
        "skull_stripped": True,
        "scans": "stacks",
        "stacks": {"register": "none"},
        "source": {"kind": "folder", "folder": str(folder), "pattern": "{subject}_run*.nii.gz"},
        "mask": {"kind": "file", "pattern": "{subject}_mask*.nii.gz"},
        "split": "test",
    }
    (study.plugins / "datasets/own.yaml").write_text(yaml.safe_dump(about))
    return study


def test_from_real_stacks_to_table_and_figure(study):
    planned = jobs(study.run("-n")[1])
    assert planned["prepare_own_stacks"] == planned["figure_stacks_own"] == 1
    assert planned["train_irem_own"] == planned["reconstruct_irem_own"] == 2
    assert planned["reconstruct_bspline_own"] == 1
    assert not {"figure_real_own", "degrade_own"} & set(planned)

    figure, table = "results/tiny/figures/stacks_own.png", "results/tiny/tables/quality.csv"
    study.run(figure, table)
    lr = sorted(path.name for path in (study.results / "lr/own/x4").iterdir())
    assert lr == [f"sub-0{s}_stack-{n}.nii.gz" for s, n in ((4, 1), (4, 2), (4, 3), (5, 1), (5, 2))]
    grid = nib.load(study.results / "masks/own/x4/sub-04.nii.gz")
    np.testing.assert_allclose(grid.header.get_zooms(), [0.9 * 4 / 4] * 3, atol=1e-5)
    for method in ("bspline", "irem"):
        image = nib.load(study.results / f"sr/own/{method}/x4/sub-04.nii.gz")
        np.testing.assert_allclose(image.affine, grid.affine)
        assert not np.asarray(image.dataobj)[np.asarray(grid.dataobj) == 0].any()
    # The scan is the truth that these stacks were made of; one gain for all of them.
    truth = nib.as_closest_canonical(nib.load(study.scan("04")))
    made = nib.load(study.results / "sr/own/bspline/x4/sub-04.nii.gz")
    index = np.argwhere(np.asarray(grid.dataobj))
    places = nib.affines.apply_affine(np.linalg.inv(truth.affine) @ grid.affine, index)
    places = places.round().astype(int).clip(0, np.array(truth.shape) - 1)
    pair = [made.get_fdata()[tuple(index.T)], truth.get_fdata()[tuple(places.T)]]
    assert np.corrcoef(pair)[0, 1] > 0.6
    rows = pd.read_csv(study.folder / table)
    assert set(rows["method"]) == {"bspline", "irem"} and set(rows["metric"]) == {"lpc_si"}
    assert set(rows["n"]) == {2}
    page = (study.results / "tables/quality.md").read_text()
    assert "A network a subject (2), each trained for" in page and "2 of 2 epochs" in page
    assert "slice thickness" in page
    assert (study.folder / figure).stat().st_size > 5000
    assert "Nothing to be done" in study.run("-n", figure, table)[1]


def test_masks_that_do_not_fit_stop_everything(study):
    (study.folder / "own/sub-05_mask-2.nii.gz").unlink()
    code, output = study.run("-n", check=False)
    assert code != 0 and "sub-05: 1 masks of 2 stacks" in output
