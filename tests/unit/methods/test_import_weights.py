import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from mrisr.common import seals
from mrisr.common.errors import ConfigError, InputError
from mrisr.methods import method as methods
from mrisr.methods.import_weights import import_model, read_weights
from mrisr.methods.model_files import LOSSES, load_model, read_description, save_model
from mrisr.study.load import checked
from tiny_study import TINY

TEST_ONLY = {
    "study": "imports",
    "seed": 1,
    "datasets": {"demo": {"roles": ["test"]}},
    "scales": [2, 3],
    "degradation": {"kind": "volume"},
    "metrics": ["psnr"],
}
CUBE = (3, 3, 3)


def with_bias(layers):
    return {
        f"{name}.{part}": shape if part == "weight" else shape[:1]
        for name, shape in layers.items()
        for part in ("weight", "bias")
    }


def published(encoder):
    """Keys and shapes of the checkpoints of ArSSR's authors."""
    decoder = {
        "decoder.stage_one.0": (256, 131),
        "decoder.stage_one.2": (256, 256),
        "decoder.stage_one.4": (256, 256),
        "decoder.stage_one.6": (131, 256),
        "decoder.stage_two.0": (256, 131),
        "decoder.stage_two.2": (256, 256),
        "decoder.stage_two.4": (256, 256),
        "decoder.stage_two.6": (1, 256),
    }
    rdn = {
        "encoder.sfe1": (64, 1, *CUBE),
        "encoder.sfe2": (64, 64, *CUBE),
        **{
            f"encoder.rdbs.{i}.layers.{j}.conv": (64, 64 * (j + 1), *CUBE)
            for i in range(8)
            for j in range(3)
        },
        **{f"encoder.rdbs.{i}.lff": (64, 256, 1, 1, 1) for i in range(8)},
        "encoder.gff.0": (64, 512, 1, 1, 1),
        "encoder.gff.1": (64, 64, *CUBE),
        "encoder.output": (128, 64, *CUBE),
    }
    rescnn = {
        "encoder.conv_start.0": (64, 1, *CUBE),
        **{
            f"encoder.block{i}.{j}": (64, 64, *CUBE) for i in (1, 2, 3) for j in (0, 2, 4, 6, 8, 10)
        },
        "encoder.conv_end.0": (128, 64, *CUBE),
    }
    srresnet = {
        "encoder.features.0.0": (64, 1, *CUBE),
        **{
            f"encoder.features.{i}.m.{j}": (64, 64, *CUBE)
            for i in range(1, 19)
            for j in ("0.0", "1.0")
        },
        "encoder.features.19.0": (64, 64, *CUBE),
        "encoder.features.20.0": (128, 64, *CUBE),
    }
    layers = {"arssr_rdn": rdn, "arssr_rescnn": rescnn, "arssr_srresnet": srresnet}[encoder]
    return with_bias({**layers, **decoder})


def toy(name, **overrides):
    return methods.get(name, {**TINY[name], **overrides})


def toy_state(name, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return toy(name).build().state_dict()


def saved(file, content, **options):
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, file, **options)
    return file


@pytest.mark.parametrize("encoder", ["arssr_rdn", "arssr_rescnn", "arssr_srresnet"])
def test_checkpoints_of_the_authors_fit_by_their_published_keys(encoder, tmp_path):
    shapes = published(encoder)
    state = {key: torch.full(shape, 0.5) for key, shape in shapes.items()}
    state["decoder.stage_two.6.bias"] = torch.tensor([0.25])
    file = saved(tmp_path / "authors.pkl", state)
    import_model(methods.get(encoder), file, tmp_path / "model", [2, 4])
    written = load_file(tmp_path / "model" / "model.safetensors")
    assert {key: tuple(value.shape) for key, value in written.items()} == shapes
    assert written["decoder.stage_two.6.bias"].item() == 0.25
    about = read_description(tmp_path / "model")
    assert about["imported"] is True and about["steps"] is None
    assert about["parameters"] == methods.get(encoder).spec["parameters"]
    assert (about["file"], about["bytes"]) == (str(file), file.stat().st_size)
    assert len(about["sha256"]) == 64 and about["scales"] == [2, 4]
    assert (tmp_path / "model" / "log.csv").read_text().split() == [",".join(LOSSES)]


@pytest.mark.parametrize("legacy", [False, True])
def test_wrappers_that_hold_a_state_dict_are_read(legacy, tmp_path):
    state = toy_state("arssr_rdn")
    options = {"_use_new_zipfile_serialization": not legacy}
    for content in (
        state,
        {f"module.{key}": value for key, value in state.items()},
        {"state_dict": state, "epoch": 3},
    ):
        read = read_weights(saved(tmp_path / "a.pt", content, **options))
        assert read.keys() == state.keys()
        assert all(torch.equal(read[key], state[key]) for key in state)


def test_half_precision_is_stored_as_the_network_has_it(tmp_path):
    state = {key: value.half() for key, value in toy_state("srcnn3d").items()}
    import_model(toy("srcnn3d"), saved(tmp_path / "a.pth", state), tmp_path / "m", [2])
    assert {v.dtype for v in load_file(tmp_path / "m" / "model.safetensors").values()} == {
        torch.float32
    }


class Malicious:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(legacy, tmp_path):
    content = {**toy_state("arssr_rdn"), "extra": Malicious(tmp_path / "executed")}
    file = saved(tmp_path / "a.pkl", content, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match=r"a\.pkl: refused.*could run code.*system.*state_dict"):
        import_model(toy("arssr_rdn"), file, tmp_path / "m", [2, 4])
    assert not (tmp_path / "executed").exists() and not (tmp_path / "m").exists()
    torch.load(file, weights_only=False)  # it would have
    assert (tmp_path / "executed").exists()


def test_a_whole_network_is_refused_with_the_way_to_convert_it(tmp_path):
    file = saved(tmp_path / "a.pkl", toy("srcnn3d").build())
    with pytest.raises(InputError, match=r"refused.*torch\.save\(network\.state_dict\(\), file\)"):
        read_weights(file)


@pytest.mark.parametrize("kind", ["zip", "legacy", "empty", "text", "safetensors"])
def test_damaged_files_are_named(kind, tmp_path):
    file = tmp_path / ("a.safetensors" if kind == "safetensors" else "a.pkl")
    if kind == "safetensors":
        save_file(toy_state("srcnn3d"), file)
    else:
        saved(file, toy_state("srcnn3d"), _use_new_zipfile_serialization=kind == "zip")
    whole = file.read_bytes()
    cut = {"empty": b"", "text": b"<html>not found</html>"}.get(kind, whole[: len(whole) // 2])
    file.write_bytes(cut)
    with pytest.raises(InputError, match=r"a\.\w+: (damaged|cannot be read).*copy it again"):
        read_weights(file)


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 1}, {3: torch.zeros(1)}])
def test_a_file_without_a_state_dict_is_refused(content, tmp_path):
    with pytest.raises(InputError, match=r"a\.pkl: holds no state dict"):
        read_weights(saved(tmp_path / "a.pkl", content))


def test_the_wrong_encoder_is_recognised(tmp_path):
    state = {key: torch.zeros(shape) for key, shape in published("arssr_rescnn").items()}
    with pytest.raises(InputError) as caught:
        import_model(
            methods.get("arssr_rdn"), saved(tmp_path / "a.pkl", state), tmp_path / "m", [2, 4]
        )
    message = str(caught.value)
    assert "Its keys are those of arssr_rescnn." in message
    assert "methods.arssr_rescnn.model" in message
    assert "74 missing: encoder.sfe1.weight, encoder.sfe1.bias, encoder.sfe2.weight" in message
    assert "40 unexpected: encoder.conv_start.0.weight" in message and "misshaped" not in message


def test_other_hyper_parameters_and_unknown_networks_are_told_apart(tmp_path):
    wide = toy("srcnn3d", model={**TINY["srcnn3d"]["model"], "features": [8, 4]}).build()
    file = saved(tmp_path / "a.pkl", wide.state_dict())
    with pytest.raises(InputError, match=r"shapes are not.*is 8×1×3×3×3 where 4×1×3×3×3 .*hyper-p"):
        import_model(toy("srcnn3d"), file, tmp_path / "m", [2])
    file = saved(tmp_path / "b.pkl", {"fc.weight": torch.zeros(3)})
    with pytest.raises(InputError, match=r"No method found here.*1 unexpected: fc\.weight"):
        import_model(toy("srcnn3d"), file, tmp_path / "m", [2])


def test_weights_that_are_not_finite_are_refused(tmp_path):
    state = toy_state("srcnn3d")
    key = next(iter(state))
    state[key][0] = float("nan")
    with pytest.raises(InputError, match=rf"a\.pkl: {key} holds NaN"):
        import_model(toy("srcnn3d"), saved(tmp_path / "a.pkl", state), tmp_path / "m", [2])


def other_study(folder, **facts):
    about = {
        "method": "some_variant",
        "preset": "published",
        "scales": [2, 4],
        "network": "query",
        "coordinates": "edges",
        "model": TINY["arssr_rdn"]["model"],
        "steps": 12,
        "val_loss": 0.5,
        "restarts": 1,
        **facts,
    }
    rows = [dict(zip(LOSSES, (1, 12, 0.6, 0.5, 1e-3), strict=True))]
    save_model(folder, toy_state("arssr_rdn"), rows, about)
    return folder / "model.safetensors"


def test_a_model_of_another_study_brings_its_training_along(tmp_path):
    import_model(toy("arssr_rdn"), other_study(tmp_path / "other"), tmp_path / "m", [2, 4])
    about = read_description(tmp_path / "m")
    assert about["method"] == "arssr_rdn" and about["imported"] is True
    assert (about["steps"], about["val_loss"], about["restarts"]) == (12, 0.5, 1)
    assert (tmp_path / "m" / "log.csv").read_text() == (tmp_path / "other/log.csv").read_text()
    # Once more, from the import: what is known is handed on.
    import_model(toy("arssr_rdn"), tmp_path / "m" / "model.safetensors", tmp_path / "n", [2, 4])
    assert read_description(tmp_path / "n")["steps"] == 12


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (
            {"coordinates": "grid"},
            r"says coordinates grid, but methods\.arssr_rdn has coordinates e",
        ),
        (
            {"model": {"head": "linear"}},
            r"says model {'head': 'linear'}.*has model {'head': 'relu'}",
        ),
        ({"scales": [2.0]}, r"says scales \[2\.0\].*has scales \[2\.0, 4\.0\]"),
    ],
)
def test_a_model_made_for_something_else_is_refused(facts, message, tmp_path):
    file = other_study(tmp_path / "other", **facts)
    with pytest.raises(InputError, match=message):
        import_model(toy("arssr_rdn"), file, tmp_path / "m", [2, 4])


def test_a_damaged_model_json_is_named(tmp_path):
    file = other_study(tmp_path / "other")
    seals.unseal(file.with_name("model.json"))
    file.with_name("model.json").write_text("{")
    with pytest.raises(InputError, match=r"model\.json: damaged"):
        import_model(toy("arssr_rdn"), file, tmp_path / "m", [2, 4])


def test_a_file_in_place_of_hyper_parameters_keeps_the_methods_own_network(tmp_path):
    method = methods.get("arssr_rdn", {"model": "a.pkl"}, preset="demo")
    assert method.imported and method.spec["weights"] == "a.pkl"
    assert method.spec["model"] == methods.get("arssr_rdn").spec["model"]
    long = methods.get("arssr_rdn", {"weights": "a.pkl", "model": {"head": "linear"}})
    assert long.spec["model"] == {**method.spec["model"], "head": "linear"}
    assert not methods.get("arssr_rdn").imported


def test_a_study_of_imported_models_needs_no_training_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "a.pkl", {})
    for scale in (2, 3):
        saved(tmp_path / f"w/x{scale}.pt", {})
    imports = {"arssr_rdn": {"model": "a.pkl"}, "srcnn3d": {"model": "w/x{scale}.pt"}}
    study = checked({**TEST_ONLY, "methods": imports})
    assert study.splits("demo") == ["test"] and study.supervised == []
    assert [method.name for method in study.imported] == ["arssr_rdn", "srcnn3d"]
    assert [trained for _, trained in study.models()] == ["x2-4", "x2", "x3"]
    assert study.min_size("train") == 7
    assert str(study.methods["srcnn3d"].weights("2.5")) == "w/x2.5.pt"
    both = {**imports, "rescnn": None}
    with pytest.raises(ConfigError, match=r"methods\.rescnn: is learned, but.*import weights"):
        checked({**TEST_ONLY, "methods": both})
    one = {**TEST_ONLY, "scales": [2], "methods": {"srcnn3d": {"model": "a.pkl"}}}
    assert [trained for _, trained in checked(one).models()] == ["x2"]


@pytest.mark.parametrize(
    ("method", "model", "message"),
    [
        ("arssr_rdn", "no.pkl", r"methods\.arssr_rdn\.model: no\.pkl: no such file \(from "),
        ("srcnn3d", "w/x{scale}.pt", r"methods\.srcnn3d\.model: w/x3\.pt: no such file"),
        ("srcnn3d", "a.pkl", r"one file, but.*the scales 2, 3; write \{scale\}"),
        ("srcnn3d", "w/{k}.pt", r"\{scale\} alone may stand in braces"),
        ("arssr_rdn", "x{scale}.pkl", r"one model serves all scales"),
        ("arssr_rdn", "a.h5", r"'a\.h5' is not one of the files.*\.safetensors, \.pkl"),
        ("arssr_rdn", "", r"'weights'"),
        ("cubic", "a.pkl", r"only a supervised method can import them"),
        ("arssr_rdn", "results/imports/models/a.pt", r"a result of this study itself"),
    ],
)
def test_wrong_imports_are_refused_before_anything_runs(
    method, model, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("a.pkl", "w/x2.pt", "results/imports/models/a.pt"):
        saved(tmp_path / name, {})
    with pytest.raises(ConfigError, match=message):
        checked({**TEST_ONLY, "methods": {method: {"model": model}}})


def test_model_json_of_an_import_is_the_same_twice(tmp_path):
    file = saved(tmp_path / "a.pkl", toy_state("srcnn3d"))
    for name in ("m", "n"):
        import_model(toy("srcnn3d"), file, tmp_path / name, [2])
    first, second = (
        json.loads((tmp_path / name / "model.json").read_text()) for name in ("m", "n")
    )
    assert first == second


@pytest.mark.parametrize(
    ("file", "asked", "expected"),
    [
        ("a.pkl", {}, "file_reversed"),
        ("a.pkl", {"weights_axes": "canonical"}, "canonical"),
        ("a.pt", {}, "canonical"),
        ("a.pt", {"weights_axes": "file"}, "file"),
    ],
)
def test_checkpoints_of_the_authors_see_simpleitks_axes(file, asked, expected, tmp_path):
    method = toy("arssr_rdn", weights=file, **asked)
    import_model(method, saved(tmp_path / file, toy_state("arssr_rdn")), tmp_path / "m", [2, 4])
    assert read_description(tmp_path / "m")["weights_axes"] == expected
    assert load_model(method, tmp_path / "m" / "model.safetensors").axes == expected
    # Imported once more, by a study that says nothing about them: they keep their axes.
    again = tmp_path / "m" / "model.safetensors"
    import_model(toy("arssr_rdn", weights=str(again)), again, tmp_path / "n", [2, 4])
    assert read_description(tmp_path / "n")["weights_axes"] == expected


def test_axes_that_contradict_the_models_own_description_are_refused(tmp_path):
    file = other_study(tmp_path / "other")
    method = toy("arssr_rdn", weights=str(file), weights_axes="file_reversed")
    with pytest.raises(InputError, match=r"says weights_axes canonical, but .*file_reversed"):
        import_model(method, file, tmp_path / "m", [2, 4])


def test_axes_of_what_is_trained_here_cannot_be_set():
    with pytest.raises(ConfigError, match="weights_axes is for imported weights"):
        methods.get("arssr_rdn", {"weights_axes": "file"})
    with pytest.raises(ConfigError, match="weights_axes is for volumes"):
        methods.get("coord", {"weights": "a.pt", "weights_axes": "file"})
