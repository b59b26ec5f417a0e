"""The lists of files that rules take and make."""

from types import SimpleNamespace

import pytest
import yaml

from mrisr.plan.study_files import StudyFiles
from mrisr.study.load import checked
from tiny_study import LEAST


@pytest.fixture
def simulated():
    """A study of the demo's scans at two scales, with a network and a control."""
    methods = {"cubic": None, "srcnn3d": None, "arssr_rdn": None, "identity": None}
    training = {"datasets": {"demo": None}, "scales": [2, 2.5], "methods": methods}
    return StudyFiles(checked(LEAST | training))


@pytest.fixture
def stacks(tmp_path):
    """A study of real stacks: three of one subject, one of the other."""
    for name in ("s1_run1", "s1_run2", "s1_run3", "s2_run1"):
        (tmp_path / f"{name}.nii.gz").touch()
    source = {"kind": "folder", "folder": str(tmp_path), "pattern": "{subject}_run*.nii.gz"}
    about = {"label": "Heap", "skull_stripped": False, "scans": "stacks", "source": source}
    about |= {"mask": {"kind": "signal"}, "split": "test"}
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/heap.yaml").write_text(yaml.safe_dump(about))
    config = {
        **{"study": "heap", "seed": 1, "plugins": [str(tmp_path)], "datasets": {"heap": None}},
        **{"scales": [3], "degradation": {"kind": "stacks"}, "metrics": ["psi"]},
        "methods": {"bspline": None, "irem": None},
    }
    return StudyFiles(checked(config))


def test_splits_and_scales_have_their_files(simulated):
    test = simulated.study.items("demo", "test")
    assert simulated.hr("demo", "test") == [f"results/demo/hr/demo/{name}.nii.gz" for name in test]
    assert simulated.lr("demo", "2.5", test[:1]) == [f"results/demo/lr/demo/x2.5/{test[0]}.nii.gz"]
    assert all("/x{scale}/" in file for file in simulated.lr("demo"))
    assert len(simulated.lr("demo")) == len(simulated.sr("demo", "cubic")) == len(test)
    assert simulated.lists_by_split() == {
        split: [f"results/demo/{kind}/demo/{split}.tsv" for kind in ("sources", "hr")]
        for split in ("train", "val", "test")
    }
    assert simulated.checked() == [
        f"results/demo/hr/demo/{split}.tsv" for split in ("train", "val", "test")
    ]
    assert simulated.atlas() == simulated.fetched_metrics() == simulated.imported_models() == []
    assert simulated.stack_masks("demo") == simulated.hr_references("demo") == []


def test_one_model_a_scale_or_one_for_all(simulated):
    methods = simulated.study.methods
    shared = simulated.model("log.csv", methods["arssr_rdn"])
    assert shared == "results/demo/models/arssr_rdn/x2-4/log.csv"
    assert simulated.model_behind(methods["srcnn3d"], "demo") == [
        "results/demo/models/srcnn3d/x{scale}/model.safetensors"
    ]
    assert simulated.model_behind(methods["cubic"], "demo") == []
    assert simulated.models() == [
        f"results/demo/models/{name}/model.safetensors"
        for name in ("srcnn3d/x2", "arssr_rdn/x2-4", "srcnn3d/x2.5")
    ]


def test_a_job_of_all_subjects_reads_lists_and_a_control_the_ground_truth(simulated):
    methods = simulated.study.methods
    assert simulated.reconstruction_input(methods["cubic"], "demo") == [
        "results/demo/lr/demo/x{scale}.tsv"
    ]
    truth = simulated.reconstruction_grids(methods["identity"], "demo")
    assert truth == ["results/demo/hr/demo/test.tsv"]
    assert simulated.reconstruction_input(methods["identity"], "demo") == truth
    stem = simulated.reconstruction_stem(methods["cubic"], "demo")
    assert stem == "results/demo/sr/demo/cubic/x{scale}"
    assert simulated.grid("demo", "a", "2") == "results/demo/hr/demo/a.nii.gz"


def test_skipped_cells_have_no_metrics(simulated):
    cells = list(simulated.study.cells())
    files = simulated.metrics(cells)
    assert len(files) == len(cells) == 8
    assert files[0] == "results/demo/metrics/demo/cubic/x2.csv"
    skipped = SimpleNamespace(**{**vars(cells[0]), "skipped": "not for this scale"})
    assert simulated.metrics([skipped, *cells[1:]]) == files[1:]


def test_each_subject_has_its_number_of_stacks(stacks):
    irem = stacks.study.methods["irem"]
    found = stacks.reconstruction_input(irem, "heap")(SimpleNamespace(subject="s1", scale="3"))
    assert found == [f"results/heap/lr/heap/x3/s1_stack-{n}.nii.gz" for n in (1, 2, 3)]
    masks = stacks.reconstruction_masks(irem, "heap")(SimpleNamespace(subject="s2", scale="3"))
    assert masks == [stacks.grid("heap", "s2_stack-1", "3")]
    assert len(stacks.lr("heap")) == len(stacks.stack_masks("heap")) == 4
    assert stacks.fixed_lr("heap") == [
        f"results/heap/lr/heap/x3/{s}_stack-1.nii.gz" for s in ("s1", "s2")
    ]
    assert stacks.checked() == stacks.lr("heap", "3")
    assert stacks.models() == [
        f"results/heap/models/irem/x3/heap/{s}/model.safetensors" for s in ("s1", "s2")
    ]
