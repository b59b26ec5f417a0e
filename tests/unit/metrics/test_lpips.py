"""LPIPS with a stand-in backbone: AlexNet with random weights, in a file of its own checksum."""

import hashlib
import importlib
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mrisr import metrics
from mrisr.common.errors import ConfigError, InputError
from mrisr.common.provenance import PACKAGE
from mrisr.metrics import _backbone

module = importlib.import_module("mrisr.metrics.lpips")
lpips, features, fetch, candidates = (
    module.lpips,
    module.features,
    module.fetch,
    module.candidates,
)

FILE = "alexnet-owt-7be5be79.pth"
CHANNELS = [64 - 35, 192 - 55, 384 - 37, 256 - 18, 256 - 5]


@pytest.fixture(scope="session")
def package(weights):
    """The lpips package as it is, with the stand-in's weights copied one by one."""
    import lpips as original

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        model = original.LPIPS(net="alex", pnet_rand=True, verbose=False)
    values = [value for name, value in weights.items() if name.startswith("features.")]
    for parameter, value in zip(model.net.parameters(), values, strict=True):
        parameter.data.copy_(value)

    def score(reference, image):
        pair = (
            torch.from_numpy((a / 127.5 - 1).astype(np.float32))[None, None].repeat(1, 3, 1, 1)
            for a in (reference, image)
        )
        with torch.no_grad():
            return model(*pair).item()

    return score


@pytest.fixture(autouse=True)
def no_cache_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def saved(content, path):
    torch.save(content, path)
    return {"backbone": path, "sha256": sha(path.read_bytes())}


def sha(content):
    return hashlib.sha256(content).hexdigest()


def pair(shape=(40, 44), seed=0, noise=20.0):
    random = np.random.default_rng(seed)
    reference = ndimage.gaussian_filter(random.random(shape), [0] * (len(shape) - 2) + [2, 2])
    reference = 255 * (reference - reference.min()) / np.ptp(reference)
    return reference, (reference + noise * random.standard_normal(shape)).clip(0, 255)


@pytest.mark.parametrize("shape", [(31, 31), (41, 57), (64, 97)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_equals_the_package(shape, dtype, stand_in, package):
    reference, image = (a.astype(dtype) for a in pair(shape))
    value = lpips(reference, image, **stand_in)
    assert isinstance(value, float) and value > 1e-3
    assert value == pytest.approx(package(reference, image), abs=1e-6)


def test_a_stack_is_its_slices(stand_in, package):
    reference, image = pair((2 * module.CPU_SLICES + 1, 33, 39))
    values = lpips(reference, image, **stand_in)
    assert values.shape == (len(reference),) and values.dtype == np.float64
    singly = [lpips(a, b, **stand_in) for a, b in zip(reference, image, strict=True)]
    np.testing.assert_allclose(values, singly, rtol=0, atol=1e-6)
    np.testing.assert_allclose(values, list(map(package, reference, image)), rtol=0, atol=1e-6)
    assert np.ptp(values) > 1e-5
    np.testing.assert_array_equal(lpips(reference[:1], image[:1], **stand_in), singly[:1])


def test_data_range_is_the_value_that_maps_to_one(stand_in):
    reference, image = pair()
    assert lpips(reference / 255, image / 255, 1.0, **stand_in) == pytest.approx(
        lpips(reference, image, **stand_in), abs=1e-7
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 0), (np.float16, 1e-4)])
def test_features_of_the_reference_save_its_pass(dtype, tolerance, stand_in, monkeypatch):
    reference, image = pair((module.CPU_SLICES + 2, 41, 57))
    ready = [layer.astype(dtype) for layer in features(reference, **stand_in)]
    for layer in ready:
        layer.flags.writeable = False
    wanted = lpips(reference, image, **stand_in)
    passes = []
    original = module._Extractor.__call__
    monkeypatch.setattr(
        module._Extractor,
        "__call__",
        lambda self, slices, *a: passes.append(len(slices)) or original(self, slices, *a),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = lpips(reference, image, features=ready, **stand_in)
    np.testing.assert_allclose(values, wanted, rtol=0, atol=tolerance)
    assert sum(passes) == len(image)


def test_features_are_what_their_description_says(stand_in):
    reference, image = pair((2, 41, 57))
    of_reference, of_image = features(reference, **stand_in), features(image, **stand_in)
    assert [layer.dtype for layer in of_reference] == [np.float32] * 5
    assert [layer.shape[:2] for layer in of_reference] == [(2, count) for count in CHANNELS]
    assert all(layer.min() >= 0 and layer.max() <= 1 for layer in of_reference)
    distance = sum(
        ((a.astype(float) - b) ** 2).sum(1).mean((1, 2))
        for a, b in zip(of_reference, of_image, strict=True)
    )
    np.testing.assert_allclose(distance, lpips(reference, image, **stand_in), atol=1e-6)
    single = features(reference[0], **stand_in)
    assert [layer.shape for layer in single] == [(1, *layer.shape[1:]) for layer in of_reference]


def test_equal_slices_score_exactly_zero(stand_in):
    reference, image = pair((3, 35, 36))
    assert lpips(reference[0], reference[0], **stand_in) == 0
    image[1] = reference[1]
    rounded = [layer.astype(np.float16) for layer in features(reference, **stand_in)]
    for ready in (None, rounded):
        values = lpips(reference, image, features=ready, **stand_in)
        assert values[1] == 0 and values[0] > 0 and values[2] > 0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([(31, 31), (32, 40), (47, 33)]))
def test_not_negative_symmetric_and_unmoved_arguments(stand_in, seed, size):
    random = np.random.default_rng(seed)
    a, b = random.uniform(-50, 300, (2, *size))
    kept = a.copy(), b.copy()
    value = lpips(a, b, **stand_in)
    assert 0 < value < np.inf
    assert value == pytest.approx(lpips(b, a, **stand_in), abs=1e-7)
    np.testing.assert_array_equal([a, b], kept)


def test_more_of_the_same_noise_is_worse(stand_in):
    reference, _ = pair((48, 52))
    noise = np.random.default_rng(1).standard_normal(reference.shape)
    values = [lpips(reference, reference + s * noise, **stand_in) for s in (0, 1, 4, 16, 64)]
    assert values == sorted(values) and len(set(values)) == 5


def test_constant_slices_have_a_value(stand_in):
    black, gray = np.zeros((31, 31)), np.full((31, 31), 128.0)
    assert lpips(black, black, **stand_in) == 0
    assert 0 < lpips(black, gray, **stand_in) < np.inf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r, i: (r, i[:-1]), "image: shape .* but the reference has"),
        (lambda r, i: (r, i[None]), "image: shape .* but the reference has"),
        (lambda r, i: (r, i * np.nan), "image: holds NaN"),
        (lambda r, i: (r + np.inf, i), "reference: holds NaN"),
        (lambda r, i: (r[:30], i[:30]), "30 x 44 pixels; LPIPS needs at least 31 x 31"),
        (lambda r, i: (r[:, :30], i[:, :30]), "40 x 30 pixels"),
        (lambda r, i: (r[0], i[0]), r"reference: shape \(44,\); give a slice"),
        (lambda r, i: (r[None, None], i[None, None]), "give a slice"),
        (lambda r, i: (r[None][:0], i[None][:0]), "give a slice"),
        (lambda r, i: (r, i, 0), "data_range: 0 is not above 0"),
    ],
)
def test_bad_input_is_refused(change, message, stand_in):
    with pytest.raises(InputError, match=message):
        lpips(*change(*pair()), **stand_in)


def test_features_of_other_slices_are_refused(stand_in):
    reference, image = pair((2, 48, 48))
    for other in (reference[:1], reference[:, :31, :31]):
        ready = features(other, **stand_in)
        with pytest.raises(InputError, match=r"features: .*make them of the same reference"):
            lpips(reference, image, features=ready, **stand_in)
    with pytest.raises(InputError, match=r"features: shapes .* 5 layers of 2 slices"):
        lpips(reference, image, features=features(reference, **stand_in)[:4], **stand_in)


def test_the_network_is_made_once(stand_in, monkeypatch):
    made = []
    original = module.network
    monkeypatch.setattr(module, "network", lambda *a: made.append(a) or original(*a))
    module._extractor.cache_clear()
    for _ in range(2):
        lpips(*pair(), **stand_in)
        features(pair()[0], device=torch.device("cpu"), **stand_in)
    assert len(made) == 1


def test_making_the_network_leaves_no_trace(stand_in, capfd):
    before = torch.get_rng_state()
    filters = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = _backbone.network(*stand_in.values(), torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), before)
    assert warnings.filters == filters
    assert capfd.readouterr() == ("", "")
    assert not model.training and not any(p.requires_grad for p in model.parameters())


def test_a_gpu_computes_without_tf32_and_its_settings_stay():
    cudnn = torch.backends.cudnn

    def state():
        return cudnn.enabled, cudnn.allow_tf32, cudnn.deterministic, cudnn.conv.fp32_precision

    before = state()
    with _backbone.full_precision(torch.device("cuda")):
        assert state() == (True, False, True, "ieee")
    assert state() == before
    with _backbone.full_precision(torch.device("cpu")):
        assert state() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_agrees_with_the_cpu(stand_in):
    reference, image = pair((9, 64, 97))
    wanted = lpips(reference, image, **stand_in)
    ready = features(reference, device="cuda", **stand_in)
    for given_features in (None, ready):
        values = lpips(reference, image, device="cuda", features=given_features, **stand_in)
        np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-4)


def test_import_and_candidates_are_light(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); import mrisr.metrics;"
        "module = sys.modules['mrisr.metrics.lpips'];"
        f"module.candidates(None, {str(tmp_path)!r});"
        "print(*{'torch', 'torchvision', 'lpips', 'requests', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_only_the_known_fault_of_torchvision_is_mended(tmp_path, monkeypatch):
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('broken otherwise')")
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match="broken otherwise"):
        _backbone.import_torchvision()


# Which file


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"TORCH_HOME": "/some/where"},
        {"TORCH_HOME": "~/torch"},
        {"TORCH_HOME": ""},
        {"XDG_CACHE_HOME": "/cache"},
        {"XDG_CACHE_HOME": "/cache", "TORCH_HOME": "relative"},
    ],
)
def test_the_hub_is_where_torch_has_it(variables, monkeypatch):
    monkeypatch.delenv("TORCH_HOME")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert _backbone._hub() == Path(torch.hub.get_dir())


class Places:
    """The places where a backbone may be, and small files that stand for it."""

    content = np.random.default_rng(0).bytes(300_000)

    def __init__(self, root, server):
        self.server = server
        self.own = root / "own.pth"
        self.hub = root / "torch" / "hub" / "checkpoints" / FILE
        self.folder = root / "downloads"
        self.downloaded = self.folder / "lpips" / FILE
        self.part = self.downloaded.with_name(f"{FILE}.part")
        self.settings = {
            "url": f"http://127.0.0.1:{server.server_port}/file",
            "sha256": sha(self.content),
        }

    def put(self, *paths, content=None):
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.content if content is None else content)

    def fetch(self, **changes):
        return fetch(self.settings | changes, self.folder)

    def resolve(self, backbone=None):
        return _backbone.resolve(backbone, self.settings["sha256"], self.folder)


@pytest.fixture
def places(tmp_path, server):
    return Places(tmp_path, server)


def test_the_order_of_the_places(places):
    with pytest.raises(InputError) as caught:
        places.resolve()
    for part in (str(places.hub), str(places.downloaded), places.settings["sha256"], "network"):
        assert part in str(caught.value)
    assert candidates(None, places.folder) == []
    places.put(places.downloaded)
    assert places.resolve() == places.downloaded
    places.put(places.hub, places.own)
    assert places.resolve() == places.hub
    assert places.resolve(places.own) == places.own
    assert candidates(None, places.folder) == [str(places.hub), str(places.downloaded)]
    own = {"backbone": str(places.own)}
    assert candidates(own, places.folder) == [str(places.own)]
    assert fetch(places.settings | own, places.folder)["available"]
    places.put(places.hub, content=b"damaged")
    assert places.resolve() == places.downloaded
    assert places.fetch() == {"available": True, "sha256": places.settings["sha256"]}
    assert places.server.requests == []


def test_relative_paths_and_the_home_folder(places, tmp_path, monkeypatch):
    places.put(places.own)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.resolve("own.pth") == places.resolve("~/own.pth") == places.own


def test_a_backbone_of_the_config_must_be_right(places):
    places.put(places.hub, places.downloaded)
    places.server.files["/file"] = places.content
    own = {"backbone": str(places.own)}
    for content, problem in ((None, "no such file"), (places.content[:-1], "damaged or another")):
        if content is not None:
            places.put(places.own, content=content)
        for ask in (lambda: places.fetch(**own), lambda: places.resolve(places.own)):
            with pytest.raises(ConfigError, match=rf"lpips\.backbone: .*own\.pth.*{problem}"):
                ask()
    assert places.server.requests == []


def test_a_wrong_file_is_named_and_not_used(places):
    places.put(places.hub, content=b"another")
    places.put(places.downloaded, content=places.content[:-1])
    with pytest.raises(InputError) as caught:
        lpips(*pair(), folder=places.folder, sha256=places.settings["sha256"])
    assert f"{places.hub} is damaged" in str(caught.value)
    assert f"{places.downloaded} is damaged" in str(caught.value)
    # Replaced since: looked at again.
    places.put(places.hub)
    assert places.resolve() == places.hub


@pytest.mark.parametrize("fault", ["truncated", "no state", "no bias", "one more", "shape"])
def test_a_file_that_is_no_alexnet_is_refused(fault, weights, stand_in, tmp_path):
    path = tmp_path / "file.pth"
    if fault == "truncated":
        path.write_bytes(Path(stand_in["backbone"]).read_bytes()[:-1000])
        chosen = {"backbone": path, "sha256": sha(path.read_bytes())}
    else:
        changed = dict(weights)
        if fault == "no bias":
            del changed["features.3.bias"]
        elif fault == "one more":
            changed["features.11.weight"] = torch.zeros(1)
        elif fault == "shape":
            changed["features.0.bias"] = torch.zeros(63)
        chosen = saved(torch.zeros(3) if fault == "no state" else changed, path)
    with pytest.raises(InputError, match=r"file\.pth: not the weights of torchvision's AlexNet"):
        lpips(*pair(), **chosen)


# Downloads


def test_download_and_then_no_more(places):
    places.server.files["/file"] = places.content
    wanted = {"available": True, "sha256": places.settings["sha256"]}
    assert places.fetch() == wanted
    assert places.downloaded.read_bytes() == places.content
    assert not places.part.exists()
    assert candidates(places.settings, places.folder) == [str(places.downloaded)]
    assert places.fetch() == wanted and len(places.server.requests) == 1
    places.put(places.downloaded, content=places.content[:-1])
    assert places.fetch() == wanted
    assert places.downloaded.read_bytes() == places.content


def test_a_download_that_breaks_off_is_resumed(places):
    places.server.files["/file"] = places.content
    places.server.faults["/file"] = ["break off", "busy"]
    assert places.fetch()["available"]
    half = f"bytes={len(places.content) // 2}-"
    assert [asked for _, asked in places.server.requests] == [None, half, half]
    assert places.downloaded.read_bytes() == places.content


def test_a_later_fetch_goes_on(places):
    places.server.files["/file"] = places.content
    places.server.faults["/file"] = ["busy"] * 4
    places.put(places.part, content=places.content[:1000])
    result = places.fetch()
    assert not result["available"] and "HTTP 503" in result["reason"]
    assert places.fetch()["available"]
    assert {asked for _, asked in places.server.requests} == {"bytes=1000-"}


@pytest.mark.parametrize("left", [b"x" * 1000, Places.content + b"more"], ids=["another", "longer"])
def test_leftovers_of_another_file_do_no_harm(left, places):
    places.server.files["/file"] = places.content
    places.put(places.part, content=left)
    assert places.fetch()["available"]
    assert places.downloaded.read_bytes() == places.content


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "HTTP 404"),
        (b"<!DOCTYPE html><title>Please log in</title>", "a web page"),
        (b"another file", "what arrived has the sha256 " + sha(b"another file")),
    ],
)
@pytest.mark.parametrize("before", [None, b"a wrong file"])
def test_without_a_backbone(answer, problem, before, places):
    if answer is not None:
        places.server.files["/file"] = answer
    if before is not None:
        places.put(places.downloaded, content=before)
    result = places.fetch()
    assert result.keys() == {"available", "reason"} and result["available"] is False
    with pytest.raises(ConfigError) as caught:
        places.fetch(required=True)
    for text in (result["reason"], str(caught.value)):
        assert text.count("\n") == 0
        for part in (problem, places.settings["url"], places.settings["sha256"], FILE):
            assert part in text
        assert f"at {places.downloaded}" in text
        assert (f"{places.downloaded} is damaged" in text) == (before is not None)
    assert "lpips.required: false" in str(caught.value)
    # What was there stays, what arrived does not.
    assert places.downloaded.exists() == (before is not None)
    assert not places.part.exists()


def test_without_a_network_the_reason_is_short_and_gives_the_size(places, caplog):
    places.server.server_close()
    url = places.settings["url"]
    result = fetch({"url": url}, places.folder)
    assert result["reason"] == (
        f"no AlexNet backbone for LPIPS: download of {url}: no connection after 4 tries; put {FILE}"
        " (244,408,911 bytes, sha256"
        " 7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02)"
        f" at {places.downloaded}"
    )
    assert "compute nodes" in caplog.text


def test_a_folder_that_cannot_be_written(places):
    places.server.files["/file"] = places.content
    places.folder.write_text("a file")
    result = places.fetch()
    assert not result["available"] and str(places.folder) in result["reason"]
    with pytest.raises(ConfigError):
        places.fetch(required=True)


def test_a_wrong_file_beside_a_right_one_is_mentioned(places, caplog):
    caplog.set_level(logging.WARNING, "mrisr")
    places.put(places.hub, content=b"another")
    places.put(places.downloaded)
    assert places.fetch()["available"]
    assert f"{places.hub} is damaged or another file" in caplog.text


def test_settings_are_a_schema_with_defaults():
    schema = metrics.settings_schema()["lpips"]
    jsonschema.Draft202012Validator.check_schema(schema)
    defaults = {name: about["default"] for name, about in schema["properties"].items()}
    assert all(about["description"] for about in schema["properties"].values())
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(defaults) and validator.is_valid({"backbone": "a.pth"})
    assert defaults["sha256"] == module.ALEXNET_SHA256 and not defaults["required"]
    for wrong in ({"url": "ftp://a"}, {"sha256": "7BE5"}, {"required": 1}, {"file": "a"}):
        assert not validator.is_valid(wrong)
