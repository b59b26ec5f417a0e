"""Configs that start from another one."""

import pytest
import yaml

from mrisr.common.errors import ConfigError
from mrisr.common.schema import read_yaml
from mrisr.study import inherit
from mrisr.study.load import load_study
from tiny_study import LEAST, ROOT

WHOLE = {
    **LEAST,
    "methods": {"nearest": None, "cubic": None, "identity": None},
    "figures": {"profile": False},
    "tables": {"table1": {"dataset": "demo", "methods": {"nearest": None, "cubic": "Cubic"}}},
}


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """Write configs by name, beside each other in the working folder."""
    monkeypatch.chdir(tmp_path)

    def write(**contents):
        for name, content in {"whole": WHOLE, **contents}.items():
            (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    return write


def test_a_config_is_laid_over_its_base(configs):
    configs(
        mine={
            "base": "whole",
            "study": "mine",
            "scales": [3, 4],
            "metrics": ["ssim"],
            "methods": {"cubic": {"label": "Ours"}, "srr": None, "nearest": None},
            "tables": {"table1": {"methods": {"nearest": None}}},
            "figures": None,
        }
    )
    written = inherit.read("mine.yaml")
    assert written.content == {
        **{key: WHOLE[key] for key in ("seed", "datasets", "degradation")},
        "study": "mine",
        "scales": [3, 4],
        "metrics": ["ssim"],
        "methods": {"cubic": {"label": "Ours"}, "srr": None, "identity": None},
        "tables": {"table1": {"dataset": "demo", "methods": {"cubic": "Cubic"}}},
    }
    # A new one stands behind the one that it was written behind.
    assert list(written.content["methods"]) == ["cubic", "srr", "identity"]
    assert written.files == ("mine.yaml", "whole.yaml")
    assert written.places["scales",] == "mine.yaml" and written.places["seed",] == "whole.yaml"
    assert read_yaml("whole.yaml") == WHOLE


def test_bases_have_bases_and_command_lines_remove_nothing(configs):
    configs(
        one={"base": "whole", "study": "one", "scales": [3]},
        two={"base": "one", "study": "two", "seed": 5},
    )
    written = inherit.together(["two.yaml"], {"methods": {"cubic": None}, "preset": "demo"})
    assert written.content == {**WHOLE, "study": "two", "scales": [3], "seed": 5, "preset": "demo"}
    assert written.files == ("two.yaml", "one.yaml", "whole.yaml")
    assert load_study("two.yaml", ["scales=[4]"]).config["scales"] == [4]


def test_a_study_is_the_same_by_its_base_or_in_full(configs):
    configs(mine={"base": "whole", "study": "mine", "methods": {"cubic": {"label": "Ours"}}})
    (whole := dict(WHOLE))["study"] = "mine"
    whole["methods"] = {"nearest": None, "cubic": {"label": "Ours"}, "identity": None}
    configs(full=whole)
    ours, full = load_study("mine.yaml"), load_study("full.yaml")
    assert yaml.safe_dump(ours.config, sort_keys=False) == yaml.safe_dump(
        full.config, sort_keys=False
    )


def test_a_module_and_a_copy_take_those_that_come_with_mrisr(configs, tmp_path):
    configs(arssr={"base": "arssr", "study": "mine"})
    shipped = read_yaml(ROOT / "config/arssr.yaml")
    assert inherit.read("arssr.yaml").content == {**shipped, "study": "mine"}
    given = {"base": "whole", "study": "given"}
    found = inherit.resolved(given, "module mrisr: config", [tmp_path])
    assert found.content == {**WHOLE, "study": "given"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"base": "hole"}, r"mine\.yaml: base: no config 'hole' in .*: did you mean 'whole'\?"),
        ({"base": "../whole.yaml"}, r"base: '\.\./whole\.yaml': give the name of a config"),
        ({"base": ["whole"]}, r"base: \['whole'\]: give the name"),
        ({"base": "mine"}, r"mine\.yaml: base: goes in a circle, mine -> mine;"),
        ({"base": "back"}, r"back\.yaml: base: goes in a circle, mine -> back -> mine;"),
        ({"base": "whole", "scalse": [2]}, r"(?s)^mine\.yaml: refused.*'scalse'.*'scales'\?$"),
        ({"base": "bad"}, r"'datasets\.demo\.role': did you mean 'roles'\? \(written in bad\.yaml"),
        ({"base": "bad"}, r"'scales\.0': .* \(written in bad\.yaml\)"),
        (
            {"base": "whole", "degradation": {"kind": "slice"}},
            r"(?s)^mine\.yaml:.*methods\.cubic: takes volume.*\(written in whole\.yaml\)",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_file(configs, content, message):
    configs(
        mine={"study": "mine", **content},
        back={"study": "back", "base": "mine"},
        bad={**WHOLE, "scales": [0.5], "datasets": {"demo": {"role": ["test"]}}},
    )
    with pytest.raises(ConfigError, match=message):
        load_study("mine.yaml")


def test_a_study_has_a_name_of_its_own_and_no_base_by_the_command_line(configs):
    configs(mine={"base": "whole"})
    with pytest.raises(ConfigError, match=r"mine\.yaml: missing key 'study': beside `base: whole`"):
        load_study("mine.yaml")
    with pytest.raises(ConfigError, match="a base is for files"):
        load_study("whole.yaml", ["base=arssr"])
    with pytest.raises(ConfigError, match=r"'scales\.0'.*\(written in --config\)"):
        load_study("whole.yaml", ["scales=[0]"])


@pytest.mark.parametrize("name", ["arssr_hcp", "coord_skm_tea", "open"])
def test_shipped_configs_say_only_what_their_base_does_not(name):
    file = ROOT / "config" / f"{name}.yaml"
    base = read_yaml(file)["base"]
    content = inherit.read(file).content
    without = inherit.read(file.with_name(f"{base}.yaml")).content
    for key, value in read_yaml(file).items():
        assert value != without.get(key), key
    assert {*content} <= {*without}
