import copy
import math
import os
from pathlib import Path

import pytest
import yaml

from mrisr import metrics
from mrisr.common.errors import ConfigError, InputError
from mrisr.common.layout import HR_REFERENCE
from mrisr.common.schema import typed
from mrisr.plan import cells as summary
from mrisr.plan.cells import cells as described
from mrisr.study.load import checked, load_study
from tiny_study import ROOT, TINY

DEMO = {
    "study": "demo",
    "seed": 1,
    "preset": "demo",
    "datasets": {"demo": None},
    "scales": [2, 3],
    "degradation": {"kind": "volume"},
    "methods": {"cubic": None, "srcnn3d": None, "arssr_rdn": None},
    "metrics": ["psnr"],
}


def changed(path, value):
    config = copy.deepcopy(DEMO)
    place = config
    *parents, last = path.split("/")
    for key in parents:
        if place.get(key) is None:
            place[key] = {}
        place = place[key]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return config


METRIC = """
from mrisr.metrics._metadata import Metadata

METADATA = Metadata("{label}", "", "higher", (0, 1), True, ("volume",), "")
SETTINGS = {{"power": {{"type": "number", "default": {power}}}}}


def closeness(reference, image, mask=None, power=1):
    return 0.0
"""


def plugin(folder, label, power):
    """Write a plugin folder with the metric `closeness`."""
    file = folder / "metrics/closeness.py"
    file.parent.mkdir(parents=True)
    file.write_text(METRIC.format(label=label, power=power))
    return {"plugins": [str(folder)], "metrics": ["psnr", "closeness"]}


def test_studies_in_one_process_have_metrics_of_their_own(tmp_path):
    one = checked({**DEMO, **plugin(tmp_path / "one", "One", 1)})
    without = checked(DEMO)
    other = checked({**DEMO, **plugin(tmp_path / "other", "Other", 2)})
    for study, label, power in ((one, "One", 1), (other, "Other", 2)):
        assert study.metrics.metadata("closeness").label == label
        assert study.metric_settings["closeness"]["power"] == power
        assert study.no_reference_metrics == []
    for names in (without.metrics.names(), metrics.names()):
        assert "psnr" in names and "closeness" not in names
    with pytest.raises(ConfigError, match="no metric 'closeness'"):
        checked({**DEMO, "metrics": ["closeness"]})


def test_jobs_find_the_metrics_of_all_studies_of_a_workflow(tmp_path, monkeypatch):
    monkeypatch.setenv(metrics.PLUGINS, "")
    plugin(tmp_path / "one", "One", 1)
    try:
        metrics.add([tmp_path / "one"])
        metrics.add([tmp_path / "none"])
        assert metrics.metadata("closeness").label == "One"
        assert os.environ[metrics.PLUGINS] == str(tmp_path / "one")
        plugin(tmp_path / "other", "Other", 2)
        with pytest.raises(ConfigError, match=r"'closeness' is in .*other.*one.*rename it"):
            metrics.add([tmp_path / "other"])
        assert metrics.metadata("closeness").label == "One"
    finally:
        metrics.use([])


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("scale", [2], r"unknown key 'scale': did you mean 'scales'\?"),
        ("scales", KeyError, r"missing key 'scales'"),
        ("scales", [2, 0.5], r"'scales\.1'"),
        ("methods/cubic", {"label": "x" * 250}, r"(?s)cubic.*'label'.*at most 80 characters"),
        ("tables/table1/title", "PSNR {x}", r"tables\.table1\.title.*without braces"),
        ("scales", [math.nan], r"'scales\.0' is nan; give a finite number"),
        ("scales", [2, math.inf], r"'scales\.1' is inf"),
        ("datasets/demo/scales", [-math.inf], r"'datasets\.demo\.scales\.0' is -inf"),
        ("scales", [2, 1.00000001], r"scales: 1\.00000001 has more digits.* it would be 1;"),
        ("scales", 2, r"'scales': 2 where array is expected"),
        ("preset", "published_", r"'preset'.*did you mean 'published'"),
        ("degradation/grid", "corner", r"'degradation\.grid'.*did you mean 'corners'"),
        ("degradation/antialiasing", 1, r"'degradation\.antialiasing': did you mean 'antialias'"),
        ("datasets/demo/role", ["test"], r"'datasets\.demo\.role': did you mean 'roles'"),
        ("datasets/demos", {}, r"demos.*did you mean 'demo'"),
        ("datasets/demo/subjects", {"train": 5}, r"(?s)demo.*train.*5.*4"),
        ("datasets/demo/roles", ["test"], r"srcnn3d: is learned, but no dataset has role train"),
        ("methods/cubik", None, r"methods\.cubik: no method 'cubik': did you mean 'cubic'"),
        ("methods/cubic", {"labl": "x"}, r"'labl': did you mean 'label'"),
        (
            "methods/srcnn3d",
            {"training": {"epoch": 1}},
            r"'training\.epoch': did you mean 'epochs'",
        ),
        ("training", {"batch": 0}, r"training\.batch"),
        ("metrics", ["psnr", "sim"], r"metrics: no metric 'sim': did you mean 'ssim'"),
        ("baseline", "cubics", r"baseline: 'cubics' is not among the methods.*'cubic'"),
        ("slices", {"count": 5}, r"slice and the key slices go together"),
        ("degradation/kind", "stacks", r"methods\.cubic: takes volume, but degradation\.kind is"),
        ("study", "My study", r"'study'.*name of the study"),
    ],
)
def test_a_wrong_config_names_the_key_and_the_remedy(path, value, message):
    with pytest.raises(ConfigError, match=message) as caught:
        checked(changed(path, value), "config/demo.yaml")
    assert "config/demo.yaml" in str(caught.value) or "dataset" in str(caught.value)


def test_all_problems_are_named_at_once():
    config = changed("scale", [2])
    del config["scales"], config["seed"]
    with pytest.raises(ConfigError) as caught:
        checked(config)
    assert all(key in str(caught.value) for key in ("'scale'", "'scales'", "'seed'"))


def test_plan_of_the_demo():
    study = checked(DEMO)
    assert study.config["degradation"]["grid"] == "corners"
    assert [(c.scale, c.method.name) for c in study.cells()] == [
        (k, m) for k in (2, 3) for m in ("cubic", "srcnn3d", "arssr_rdn")
    ]
    assert [(m.name, trained) for m, trained in study.models()] == [
        ("srcnn3d", "x2"),
        ("arssr_rdn", "x2-4"),
        ("srcnn3d", "x3"),
    ]
    assert study.splits("demo") == ["train", "val", "test"]
    assert study.min_size("train") == 40  # a training patch of ArSSR
    assert study.min_size("test") == 16
    assert checked({**DEMO, "scales": [2, 6]}).min_size("test") == 24


def test_scales_outside_a_methods_limits_are_skipped_with_a_reason():
    study = checked({**DEMO, "scales": [2, 6]})
    skipped = {c.method.name: c.skipped for c in study.cells() if c.scale == 6}
    assert skipped["cubic"] is None
    assert skipped["arssr_rdn"] == "scale 6 not supported (1 to 4: trained for 2 to 4)"


def test_scales_beyond_training_are_for_a_study_to_allow():
    beyond = {"base": "arssr_rdn", "limits": {"max_scale": 8}}
    study = checked({**DEMO, "scales": [2, 6], "methods": {"cubic": None, "far": beyond}})
    cells = {(c["scale"], c["method"]): c for c in described(study)}
    assert cells[6, "far"]["skipped"] is None and cells[6, "far"]["beyond"]
    assert not cells[2, "far"]["beyond"] and not cells[6, "cubic"]["beyond"]


def test_variants_and_shared_training_settings():
    config = changed("training", {"border": 3})
    config["methods"]["wide"] = {"base": "srcnn3d", "model": {"features": [8, 8]}}
    config["methods"]["srcnn3d"] = {"training": {"border": 5}}
    study = checked(config)
    assert study.methods["arssr_rdn"].spec["training"]["border"] == 3
    assert study.methods["srcnn3d"].spec["training"]["border"] == 5
    wide = study.methods["wide"]
    assert wide.label == "SRCNN3D (wide)"
    assert wide.folder.name == "srcnn3d"
    assert wide.spec["model"] == {"features": [8, 8], "kernels": [5, 1, 3]}


def test_a_new_label_does_not_change_what_training_depends_on():
    plain = checked(DEMO).methods["srcnn3d"]
    named = checked(changed("methods/srcnn3d", {"label": "Other"})).methods["srcnn3d"]
    wide = checked(changed("methods/srcnn3d", TINY["srcnn3d"])).methods["srcnn3d"]
    keys = ("network", "coordinates", "model", "training")
    assert plain.pack(*keys) == named.pack(*keys) == plain.pack_training()
    assert plain.pack(*keys) != wide.pack(*keys)


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_configs_here_are_valid(path):
    study = load_study(path)
    assert study.name == path.stem
    overlap = [] if study.segmentation is None else summary.published_overlap(study)
    for entry in [*summary.published(study), *overlap]:
        assert Path(entry["file"]).exists() and entry["dataset"] in study.datasets


def test_values_of_the_command_line_get_their_types():
    given = {"scales": ["2", "2.5"], "a": {"b": "null", "c": "true"}, "d": "sub-01", "e": "a: ["}
    wanted = {"scales": [2, 2.5], "a": {"b": None, "c": True}, "d": "sub-01", "e": "a: ["}
    assert typed(given) == wanted
    assert typed(["2020-01-01", "/a/b.yaml", 3]) == ["2020-01-01", "/a/b.yaml", 3]


@pytest.fixture
def real(tmp_path):
    """A study of real LR scans with HR references; `changed` as its config."""
    about = {
        "label": "Real",
        "skull_stripped": False,
        "scans": "lr",
        "source": {"kind": "bids", "folder": str(tmp_path / "lr")},
        "reference": {"source": {"kind": "bids", "folder": str(tmp_path / "hr")}},
        "split": "test",
    }
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/real.yaml").write_text(yaml.safe_dump(about))
    for folder in ("lr", "hr"):
        (tmp_path / folder / "sub-01").mkdir(parents=True)
    return {
        **{"study": "real", "seed": 1, "plugins": [str(tmp_path)], "datasets": {"real": None}},
        **{"scales": [2, 3], "degradation": {"kind": "volume"}, "metrics": ["psnr", "psi"]},
        "methods": {"cubic": None, "identity": None},
    }


def test_plan_of_real_scans(real):
    study = checked(real)
    assert study.real_datasets == study.test_datasets == ["real"] and not study.measured_datasets
    assert study.splits("real") == ["test"] and study.train_dataset is None
    # No cell for the control that is the ground truth.
    assert [(c.scale, c.method.name) for c in study.cells()] == [(2, "cubic"), (3, "cubic")]
    assert study.degradation_of("real")["grid"] == "centres"
    assert study.degradation["grid"] == "corners"
    assert study.min_lr_size(2) == 4 and checked({**real, "metrics": ["lpc_si"]}).min_lr_size() == 8
    assert study.datasets["real"].reference.folder.name == "hr"
    beside = checked({**real, "datasets": {"demo": {"roles": ["test"]}, "real": None}})
    assert beside.degradation_of("demo") == beside.degradation
    assert [c.method.name for c in beside.cells("demo")][:2] == ["cubic", "identity"]


def test_hr_references_have_no_traits_of_the_method_above_them(real):
    datasets = {"demo": {"roles": ["train"]}, "real": None}
    methods = {"cubic": None, "far": {"base": "arssr_rdn", "limits": {"max_scale": 8}}}
    rows = described(checked({**real, "datasets": datasets, "methods": methods, "scales": [6]}))
    assert [(row["method"], row["beyond"]) for row in rows] == [
        *(("cubic", False), ("far", True), (HR_REFERENCE, False))
    ]
    assert rows[1]["published_training"] and not rows[2]["published_training"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": ["psnr", "ssim"]}, r"metrics: none can be taken on real.*lpc_si, psi"),
        ({"datasets": {"real": {"roles": ["train", "test"]}}}, r"datasets\.real: .*to train on"),
        (
            {"degradation": {"kind": "stacks"}, "methods": {"identity": None}},
            r"datasets\.real: is real LR.*kind must be volume",
        ),
        ({"segmentation": True}, r"segmentation: .*no test dataset has one; leave the key out"),
    ],
)
def test_what_real_scans_cannot_do_is_refused(real, changes, message):
    with pytest.raises(ConfigError, match=message):
        checked({**real, **changes})


def test_only_real_scans_have_references(real, tmp_path):
    file = tmp_path / "datasets/real.yaml"
    file.write_text(file.read_text().replace("scans: lr", "scans: hr"))
    with pytest.raises(ConfigError, match=r"real\.yaml: reference: .*set scans: lr"):
        checked(real)


def test_a_missing_reference_is_named(real):
    reference = checked(real).datasets["real"].reference
    with pytest.raises(InputError, match=r"(?s)1 of 1 test subjects have no.*sub-01: no file"):
        reference.local_files("test")


def test_tables_have_a_row_of_the_references_at_every_scale(real):
    cells = summary.cells(checked(real))
    assert [(c["scale"], c["method"]) for c in cells] == [
        *((2, "cubic"), (2, "hr_reference"), (3, "cubic"), (3, "hr_reference")),
    ]
    assert cells[1]["path"] == cells[3]["path"] == "results/real/metrics/real/reference.csv"
    assert cells[1]["control"] and not cells[1]["has_ground_truth"]
    said = summary.notes(checked(real))
    assert "Ground truth" not in said and "Degradation" not in said
    assert "keeps its field of view" in said["Real scans"] and "HR references" in said["Real scans"]


def test_footnotes_say_where_each_mask_comes_from(tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "sub-01").mkdir()
    for name, kind in (("heads", "template"), ("brains", "signal")):
        dataset = {"label": name.title(), "skull_stripped": kind == "signal", "split": "test"}
        dataset |= {"source": {"kind": "bids", "folder": str(tmp_path)}, "mask": {"kind": kind}}
        (tmp_path / f"datasets/{name}.yaml").write_text(yaml.safe_dump(dataset))
    base = DEMO | {"plugins": [str(tmp_path)], "methods": {"cubic": None}}
    both = summary.notes(checked(base | {"datasets": {"heads": None, "brains": None}}, "x"))["Mask"]
    assert both == (
        "Heads: the brain of the MNI152 template, registered; Brains: voxels with signal, closed"
        " and filled."
    )
    one = summary.notes(checked(base | {"datasets": {"brains": None}}, "x"))["Mask"]
    assert one == "voxels with signal, closed and filled."


def test_sizes_are_multiples_of_the_slice_thickness_where_lr_are_stacks():
    config = DEMO | {"degradation": {"kind": "stacks"}, "methods": {"identity": None}}
    study = checked(config | {"scales": [4, 8]})
    assert study.degradation["kernel"] == "slice_profile" and study.multiple("demo") == 8
    assert checked(config | {"scales": [4, 6, 2.5]}).multiple("demo") == 12
    spline = config | {"degradation": {"kind": "stacks", "kernel": "spline"}}
    assert checked(spline).degradation["kernel"] == "spline"
    assert checked(DEMO).multiple("demo") == 1 and checked(DEMO).degradation["kernel"] == "spline"


def test_notes_of_tables_say_which_intensities_are_0_and_1():
    assert "Intensity" not in summary.notes(checked(DEMO))
    study = checked(changed("datasets/demo/intensity", {"white": "99.9 %"}))
    assert summary.notes(study)["Intensity"] == (
        f"{study.datasets['demo'].label}: the 99.9 % quantile of the voxels above 0 is 1, above it"
        " is cut."
    )


def test_a_method_that_is_added_stands_above_the_bound():
    methods = {"nearest": None, "identity": None, "cubic": None}
    study = checked({**DEMO, "methods": methods, "baseline": "cubic"})
    assert list(study.methods) == ["nearest", "cubic", "identity"]
