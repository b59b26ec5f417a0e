"""What a 2-D study's config may say, and what follows from it."""

import copy

import pytest

from mrisr.common.errors import ConfigError
from mrisr.data import datasets
from mrisr.plan import cells
from mrisr.plan.figures import figures
from mrisr.study.load import checked, load_study
from tiny_study import ROOT, write_skm_tea

SLICES = {
    "study": "flat",
    "seed": 1,
    "preset": "demo",
    "datasets": {"demo": None},
    "scales": [1.5, 2],
    "degradation": {"kind": "slice", "kernel": "bicubic", "grid": "centres"},
    "slices": {"count": 2, "multiple": 6},
    "methods": {"bicubic": None, "coord": None, "conv": None},
    "metrics": ["vif", "psnr"],
    "early_stopping": {"coord": {"steps": 1000}},
    "reader_study": {"methods": ["coord", "conv"]},
}
CUBIC = {"cubic": None, "srcnn3d": {"training": {"denoise": {"weight": 1}}}}
VOLUMES = {"degradation": {"kind": "volume"}, "slices": None, "methods": CUBIC}
ALONE = {"early_stopping": {}, "reader_study": None}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"degradation": {**SLICES["degradation"], "antialias": 1}}, "a filter of its own"),
        ({"slices": {"count": 2, "multiple": 3}}, "methods.conv: .*multiple of 2"),
        ({"slices": {"count": 2}}, "methods.conv: .*multiple of 2"),
        (
            {"methods": {**SLICES["methods"], "conv": {"model": {"factor": 3}}}},
            r"methods.conv: is for one scale; set limits.scales: \[3\]",
        ),
        ({"early_stopping": {"bicubic": {"steps": 9}}}, "not among the methods trained here"),
        ({"early_stopping": {"coordd": {"steps": 9}}}, "coord"),
        ({"early_stopping": {"conv": {"steps": 9, "scale": 3}}}, "early_stopping.conv: scale 3"),
        ({"reader_study": {"methods": ["coord", "konv"]}}, "reader_study.methods: 'konv'.*conv"),
        ({"reader_study": {"methods": ["coord", "conv"], "scale": 3}}, "conv: scale 3 not"),
        ({**VOLUMES, **ALONE}, "methods.srcnn3d: training.denoise is for 2-D studies"),
        (
            {**VOLUMES, **ALONE, "early_stopping": {"srcnn3d": {"steps": 9}}},
            "early_stopping: is for 2-D",
        ),
        (
            {"reader_study": {"methods": ["coord", "conv"], "dataset": "demos"}},
            "reader_study.dataset: 'demos' .* did you mean 'demo'",
        ),
        (
            {"reader_study": {"methods": ["coord", "conv"], "answers": "nowhere.csv"}},
            "reader_study.answers: nowhere.csv: no such file .*mrisr study export",
        ),
        (
            {
                "reader_study": {
                    "methods": ["coord", "conv"],
                    "published": [{"file": "nothing.csv", "source": "x"}],
                }
            },
            "reader_study.published: .*nothing.csv: no such file",
        ),
        (
            {**VOLUMES, **ALONE, "reader_study": {"methods": ["cubic", "srcnn3d"], "scale": 5}},
            "reader_study.scale: nothing of .* is reconstructed at 5",
        ),
        ({"methods": {"cubic": None}, **ALONE}, "methods.cubic: takes volume, but .* is slice"),
    ],
)
def test_a_wrong_config_names_the_key_and_the_remedy(changes, message):
    config = {**copy.deepcopy(SLICES), **changes}
    with pytest.raises(ConfigError, match=message):
        checked({key: its for key, its in config.items() if its is not None}, "flat.yaml")


def test_conv_is_skipped_where_it_cannot_be_asked_and_coord_is_not():
    study = checked(SLICES)
    skipped = {(c.method.name, c.scale) for c in study.cells() if c.skipped}
    assert skipped == {("conv", 1.5)}
    trained = [(method.name, folder) for method, folder in study.models()]
    assert trained == [("coord", "x1-2"), ("conv", "x2")]
    assert study.denoising == [0.03]
    assert study.min_size("train") == 32 and study.min_size("test") >= 41


def test_a_range_of_one_scale_is_that_scale():
    methods = {**SLICES["methods"], "coord_2x": {"base": "coord", "scale_range": [2, 2]}}
    study = checked({**SLICES, "methods": methods})
    assert ("coord_2x", "x2") in [(method.name, folder) for method, folder in study.models()]


def test_the_published_study_is_the_paper_s():
    study = load_study(ROOT / "config" / "coord.yaml")
    said = {
        name: (
            (m.denoising or {"weight": 0})["weight"],
            m.spec.get("scale_range", m.spec["limits"].get("scales")),
            m.spec["published_steps"],
            m.spec["training"]["epochs"] * m.spec["training"]["steps_per_epoch"],
        )
        for name, m in study.methods.items()
        if m.learned
    }
    assert said == {
        "coord": (10, [1, 2], 1000, 1000),
        "coord_l0": (0, [1, 2], 1000, 1000),
        "coord_2x": (10, [2, 2], 1000, 1000),
        "coord_2x_l0": (0, [2, 2], 1000, 1000),
        "coord_literal": (10, [1, 2], 1000, 1000),
        "conv": (0, [2], 100000, 100000),
        "conv_l10": (10, [2], 100000, 100000),
    }
    literal = study.methods["coord_literal"].build()
    assert sum(p.numel() for p in literal.parameters()) == 1_433_537
    encoder = study.methods["coord"].build().encoder
    assert sum(p.numel() for p in encoder.parameters()) == 1_219_264
    assert study.config["metrics"] == ["vif", "psnr"] and study.scales("ds002748") == [1.5, 2, 3]
    names = [figure.name for figure in figures(study)]
    assert {"queries_ds002748", "early_stopping_coord", "early_stopping_conv"} <= set(names)


def test_footnotes_say_what_a_value_is_of():
    notes = cells.notes(checked(SLICES))
    assert "n counts subjects" in notes["Images"]
    assert "cropped to a multiple of 6 pixels" in notes["Images"]
    assert "stretched by the scale, its own anti-alias filter" in notes["Degradation"]
    assert "of each slice" in notes["Data range"]
    assert all(cell["slices"] for cell in cells.cells(checked(SLICES)))


def test_the_paper_s_figure_asks_the_model_of_2x_for_4x():
    study = load_study(ROOT / "config" / "coord.yaml")
    planned = {figure.name: figure for figure in figures(study)}
    drawn = planned["queries_ds002748"].params
    shown = ["bicubic", "conv", "coord_2x_l0", "coord_2x"]
    assert [cell["method"] for cell in drawn["cells"]] == shown
    (beyond,) = drawn["beyond"]
    assert beyond["model"].endswith("models/coord_2x/x2/model.safetensors")
    assert planned["early_stopping_coord"] and study.early_stopping["coord"]["each"] == 1000
    with pytest.raises(ConfigError, match=r"queries\.beyond: 'conv' is not among the methods with"):
        load_study(ROOT / "config" / "coord.yaml", ["figures={queries: {beyond: conv}}"])


def test_skm_tea_is_split_across_the_publisher_s_own_split_and_tables_say_so(tmp_path):
    write_skm_tea(tmp_path, ["train"] * 10 + ["val"] * 5 + ["test"] * 5)
    file, folder = ROOT / "config" / "coord_skm_tea.yaml", f"folder: {tmp_path}"
    study = load_study(file, [f"datasets={{skm_tea: {{{folder}}}}}"])
    subjects = study.datasets["skm_tea"].subjects
    assert {split: len(names) for split, names in subjects.items()} == {
        **{"train": 16, "val": 2, "test": 2}
    }
    assert len({name for names in subjects.values() for name in names}) == 20
    assert not {f"MTR_{n:03}" for n in range(10)} >= {*subjects["val"], *subjects["test"]}
    for notes in (
        cells.notes(study),
        cells.paper_notes(study, cells.paper_tables(study)["table1"]),
    ):
        assert (
            "across the publisher's own split, 80/10/10 % (16 train, 2 val, 2 test), seed 2022"
            in (notes["Split"])
        )
    # Jobs are told of a split's subjects, and find them.
    for split, names in subjects.items():
        again = datasets.load("skm_tea", study.dataset_overrides("skm_tea", split))
        assert again.subjects[split] == names
    other = load_study(file, [f"datasets={{skm_tea: {{{folder}, split: {{seed: 7}}}}}}"])
    assert other.datasets["skm_tea"].subjects != subjects
    plain = load_study(file, [f"datasets={{skm_tea: {{{folder}, split: null}}}}"])
    assert len(plain.datasets["skm_tea"].subjects["train"]) == 10
    assert "Split" not in cells.notes(plain)
    for fractions, message in (
        ("[0.8, 0.1, 0.2]", r"split\.fractions: 0\.8, 0\.1, 0\.2 make 1\.1"),
        ("[0.99, 0.005, 0.005]", r"no val subject among 20"),
        ("[0.8, 0.2]", r"skm_tea\.split\.fractions'"),
    ):
        split = f"split: {{fractions: {fractions}}}"
        with pytest.raises(ConfigError, match=message):
            load_study(file, [f"datasets={{skm_tea: {{{folder}, {split}}}}}"])
