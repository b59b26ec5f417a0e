"""Which figures a study has: by its data, and by the config's key `figures`."""

import pytest
import yaml

from mrisr.common.errors import ConfigError
from mrisr.plan import figures as figure_plan
from mrisr.plan import report
from mrisr.plan.jobs import StudyJobs
from mrisr.study import inherit
from mrisr.study.figures_key import KINDS
from mrisr.study.load import checked
from tiny_study import ROOT, write_scan


@pytest.fixture
def config():
    return inherit.read(ROOT / "config" / "open.yaml").content


def names(config, **changes):
    return [figure.name for figure in figure_plan.figures(checked({**config, **changes}))]


def test_by_default_there_is_all_that_the_data_allow(config):
    found = names(config)
    assert len(found) == len(set(found))
    for kind in ("comparison", "zoom", "profile", "encoders", "quality_by_scale", "subjects"):
        assert {f"{kind}_{its}" for its in config["datasets"]} <= set(found)
    assert [name for name in found if "lesion" in name] == ["lesion_open_ms"]
    assert {"scales", "curves", "segmentation_ds002748"} <= set(found)
    assert found == [figure.name for figure in figure_plan.figures(checked(config))]
    assert names(config, figures=True) == found and names(config, figures=False) == []


def test_a_list_means_those_alone_and_false_leaves_one_out(config):
    assert names(config, figures=["curves", "scales"]) == ["scales", "curves"]
    found = names(config, figures={"zoom": False, "profile": {"datasets": {"open_ms": False}}})
    assert not any(name.startswith("zoom") for name in found)
    assert [name for name in found if name.startswith("profile")] == [
        "profile_ds002748",
        "profile_ds000011",
    ]
    assert "comparison_ds002748" in found


def test_options_choose_subject_scales_and_methods(config):
    own = {"subject": "sub-10", "inset": {"centre": [1, 2, 3]}}
    wanted = {"zoom": {"scales": [4], "methods": ["dcsrn"], "datasets": {"ds002748": own}}}
    figures = {its.name: its for its in figure_plan.figures(checked({**config, "figures": wanted}))}
    zoom = figures["zoom_ds002748"].params
    assert zoom["subject"] == "sub-10" and zoom["inset"] == {"centre": [1, 2, 3]}
    assert [(cell["scale"], cell["method"]) for cell in zoom["cells"]] == [(4, "dcsrn")]
    assert figures["zoom_open_ms"].params["subject"] == "patient07"
    # DCSRN is held against cubic, which is not shown.
    assert [cell["method"] for cell in zoom["held"]] == ["cubic"]


def test_a_dataset_without_the_scale_asked_for_is_shown_at_its_own(tmp_path):
    irem = yaml.safe_load((ROOT / "config" / "irem.yaml").read_text())
    for run in (1, 2, 3):
        write_scan(tmp_path / f"mial_run{run}.nii.gz", run)
    irem["datasets"]["fetal_stacks"] = {"folder": str(tmp_path), "scales": [3]}
    irem["metrics"] = ["psnr", "ssim", "psi", "lpc_si"]
    figures = {its.name: its.params for its in figure_plan.figures(checked(irem))}
    assert irem["figures"]["stacks"] == {"scales": [4]}
    assert figures["stacks_ds002748"]["scale"] == 4 and figures["stacks_fetal_stacks"]["scale"] == 3


def test_inputs_are_what_is_shown_and_no_more(config):
    wanted = {"comparison": {"scales": [4], "methods": ["cubic", "dcsrn"]}}
    (figure,) = [
        its
        for its in figure_plan.figures(checked({**config, "figures": wanted}))
        if its.name == "comparison_ds002748"
    ]
    assert sorted(file.removeprefix("results/open/") for file in figure.inputs) == [
        "hr/ds002748/sub-03.nii.gz",
        "lr/ds002748/x4/sub-03.nii.gz",
        "masks/ds002748/sub-03.nii.gz",
        "metrics/ds002748/cubic/x4.csv",
        "metrics/ds002748/dcsrn/x4.csv",
        "models/dcsrn/x4/model.json",
        "sr/ds002748/cubic/x4/sub-03.nii.gz",
        "sr/ds002748/dcsrn/x4/sub-03.nii.gz",
    ]


def test_a_method_looks_the_same_in_all_figures(config):
    looks = {}
    for figure in figure_plan.figures(checked(config)):
        for cell in [*figure.params.get("cells", []), *figure.params.get("models", [])]:
            looks.setdefault(cell["method"], set()).add(cell["look"])
    assert all(len(its) == 1 for its in looks.values())
    own = [its.pop() for method, its in looks.items() if method not in ("nearest", "identity")]
    assert sorted(own) == list(range(8))
    assert (looks["nearest"], looks["identity"]) == ({"lower"}, {"upper"})


def test_a_copy_of_the_scans_without_lesions_has_no_such_figure(config, tmp_path):
    for subject in ("patient07", "patient19", "patient26"):
        (tmp_path / subject).mkdir()
        (tmp_path / subject / "T1.nii.gz").touch()
    config["datasets"]["open_ms"] = {"folder": str(tmp_path)}
    assert "lesion_open_ms" not in names(config)
    (tmp_path / "patient07" / "lesions.nii.gz").touch()
    assert "lesion_open_ms" in names(config)
    study = checked(config)
    assert list(figure_plan.lesion_subjects(study)) == [("open_ms", "patient07")]
    assert study.layout.sources("open_ms", "lesions") in report.source_lists(study)


def test_each_kind_of_figure_has_one_planner():
    assert list(figure_plan._PLANNERS) == list(KINDS)


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"zom": {}}, "figures: no figure 'zom': did you mean 'zoom'"),
        ({"zom": False}, "no figure 'zom'"),
        (["zoom", "all"], "figures: no figure 'all'"),
        ({"zoom": {"scale": [2]}}, "unknown key 'figures.zoom.scale': did you mean 'scales'"),
        ({"zoom": {"scales": [3]}}, "nothing is reconstructed at 3; tested: 2, 4"),
        ({"zoom": {"methods": ["dcsr"]}}, "not among the methods: did you mean 'dcsrn'"),
        (
            {"zoom": {"line": {"from": [0, 0, 0], "to": [1, 1, 1]}}},
            r"under figures\.zoom\.datasets",
        ),
        ({"curves": {"scales": [2]}}, r"figures\.curves\.scales: this figure has no such option"),
        ({"zoom": {"subject": "sub-03"}}, "the study has 3 test datasets; say it for one of them"),
        ({"zoom": {"datasets": {"open": {}}}}, "no such figure of 'open': did you mean 'open_ms'"),
        (
            {"zoom": {"datasets": {"open_ms": {"subject": "patient7"}}}},
            "'patient7' is no test subject of open_ms: did you mean 'patient07'",
        ),
        ({"zoom": {"datasets": {"open_ms": {"line": {"from": [0, 0], "to": [1, 1, 1]}}}}}, "from"),
    ],
)
def test_what_is_wrong_is_named(config, figures, message):
    with pytest.raises(ConfigError, match=message):
        checked({**config, "figures": figures})


def test_figure_1_shows_a_scale_that_no_table_has(config):
    shown = {**config, "figures": {"scales": {"scales": [2, 3.2, 4], "methods": ["arssr_rdn"]}}}
    study = checked(shown)
    (figure,) = [its for its in figure_plan.figures(study) if its.name == "scales"]
    cells = figure.params["cells"]
    assert [(cell["scale"], cell["method"]) for cell in cells] == [
        (scale, "arssr_rdn") for scale in (2, 3.2, 4)
    ]
    assert cells[1]["lr"] == "results/open/lr/ds002748/x3.2/sub-03.nii.gz"
    assert cells[1]["path"] == "results/open/metrics/ds002748/arssr_rdn/x3.2.csv"
    # It is made for this figure: no table has it, and the bill does.
    assert 3.2 not in {cell.scale for cell in study.cells()}
    made = {job.name for job in StudyJobs(study).jobs} - {
        job.name for job in StudyJobs(checked({**config, "figures": True})).jobs
    }
    assert made == {
        "degrade_ds002748 3.2",
        "reconstruct_arssr_rdn_ds002748 3.2",
        "evaluate_ds002748 arssr_rdn 3.2",
    }
    # A model a scale has none for it, nor has one beyond its limits.
    for method, scale in (("dcsrn", 3.2), ("arssr_rdn", 9)):
        wrong = {"scales": {"scales": [scale], "methods": [method]}}
        with pytest.raises(ConfigError, match=rf"nothing is reconstructed at {scale}"):
            checked({**config, "figures": wrong})
