"""What a study's key `segmentation` may say, and what follows from it."""

import pytest

from mrisr.common.errors import ConfigError
from mrisr.plan import cells as summary
from mrisr.plan.jobs import StudyJobs
from mrisr.study.load import checked

BASE = {
    "study": "demo",
    "seed": 1,
    "datasets": {"demo": {"roles": ["test"]}},
    "scales": [2, 3],
    "degradation": {"kind": "volume"},
    "methods": {"nearest": None, "cubic": None, "identity": None},
    "metrics": ["psnr"],
}


def study(**changes):
    return checked(BASE | changes)


def test_absent_means_none():
    for plain in (study(), study(segmentation=None), study(segmentation=False)):
        assert plain.segmentation is None and plain.segmented_cells() == []


def test_defaults_and_subsets():
    whole = study(segmentation=True)
    assert whole.config["segmentation"] == whole.segmentation
    assert whole.segmentation["priors"] == "oasis30ants"
    assert whole.segmentation["registration"] == "shared"
    assert len(whole.segmented_cells()) == 6
    assert whole.perturbed_items("demo") == whole.items("demo", "test")[:3]
    once = study(segmentation={"noise_floor": 1})
    assert once.perturbed_items("demo") == once.items("demo", "test")[:1]
    assert study().perturbed_items("demo") == []
    some = study(segmentation={"scales": [3.0], "methods": ["cubic", "identity"]})
    cells = [(cell.scale, cell.method.name) for cell in some.segmented_cells()]
    assert cells == [(3, "cubic"), (3, "identity")]
    described = summary.segmented_cells(some)
    assert [cell.path for cell in described] == [
        "results/demo/overlap/demo/cubic/x3.csv",
        "results/demo/overlap/demo/identity/x3.csv",
    ]


def test_datasets_may_be_left_out():
    two = {"demo": {"roles": ["test"]}, "ds002748": {"roles": ["test"]}}
    chosen = {"datasets": ["demo"]}
    some = study(datasets=two, segmentation=chosen)
    assert {cell.dataset for cell in some.segmented_cells()} == {"demo"}
    jobs = [job.rule for job in StudyJobs(some).jobs if job.stage == "segment"]
    assert jobs and not any("ds002748" in rule for rule in jobs)
    table = {"kind": "overlap", "dataset": "ds002748"}
    with pytest.raises(ConfigError, match=r"tables\.t\.dataset: 'ds002748' is not segmented"):
        study(datasets=two, segmentation=chosen, tables={"t": table})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"datasets": ["demos"]}, r"segmentation\.datasets: 'demos' is not among.*'demo'"),
        ({"prior": "atlas"}, r"'segmentation\.prior': did you mean 'priors'"),
        ({"registration": "share"}, r"'segmentation\.registration'.*'shared'"),
        ({"transform": "rigid"}, r"'segmentation\.transform'"),
        ({"voxel_size": 0}, r"'segmentation\.voxel_size'"),
        ({"methods": ["cubik"]}, r"segmentation\.methods: 'cubik' is not.*'cubic'"),
        ({"scales": [4]}, r"segmentation\.scales: nothing is reconstructed at 4; tested: 2, 3"),
        (
            {"published": [{"file": "arssr_table4.csv", "dataset": "demos", "source": "x"}]},
            r"segmentation\.published: 'demos' is not among the datasets.*'demo'",
        ),
    ],
)
def test_mistakes_are_named(value, message):
    with pytest.raises(ConfigError, match=message):
        study(segmentation=value)


def test_slices_cannot_be_segmented():
    with pytest.raises(ConfigError, match=r"segmentation: needs volumes"):
        study(
            segmentation={},
            degradation={"kind": "slice"},
            slices={"count": 2},
            methods={"identity": None},
        )


def test_footnotes_follow_the_settings():
    notes = summary.segmentation_notes(
        study(segmentation={"priors": "mine/six", "registration": "own", "voxel_size": 1.5})
    )
    assert "from six" in notes["Priors"] and "1.5 mm" in notes["Voxels"]
    assert "each reconstruction anew" in notes["Registration"] and "Demo" not in notes
    notes = summary.segmentation_notes(study(segmentation={"transform": "affine"}, preset="demo"))
    assert "CC BY 4.0" in notes["Priors"] and notes["Voxels"] == "the ground truth's own."
    assert notes["Registration"].startswith("affine of the template to the ground truth, once")
    assert "Demo" in notes
