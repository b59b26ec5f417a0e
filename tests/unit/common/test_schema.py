"""YAML as users mean it: a key once, numbers as they look; hostile files are refused at once."""

import time

import pytest

from mrisr.common.errors import ConfigError
from mrisr.common.schema import changes, read_yaml, validate

BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB.encode(), "its aliases stand for too much"),
        (b"a: &a [*a]\n", "its aliases stand for too much"),
        (b"a: " + b"[" * 20_000, "nested more than 50 deep"),
        (b"a:\n  " + b"- " * 5_000 + b"1\n", "nested more than 50 deep"),
        (b"\x93NUMPY\x01\x00\xff", "not text in UTF-8"),
        (b"a: \x00\n", "not valid YAML"),
    ],
)
def test_hostile_files_are_refused_at_once(tmp_path, content, message):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    start = time.process_time()
    with pytest.raises(ConfigError, match=message) as error:
        read_yaml(path)
    assert str(path) in str(error.value) and time.process_time() - start < 5


def test_anchors_of_ordinary_size_are_taken(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("a: &a {b: 1}\nc: *a\nd: {<<: *a, e: 2}\n")
    assert read_yaml(path)["d"] == {"b": 1, "e": 2}


def written(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return path


def test_a_key_twice_is_refused_at_any_depth(tmp_path):
    path = written(tmp_path, "scales: [2]\ncrop:\n  kind: none\n  kind: brain\nscales: [4]\n")
    with pytest.raises(ConfigError) as error:
        read_yaml(path)
    assert "line 4: key 'kind' is in line 3 already" in str(error.value)
    assert "line 5: key 'scales' is in line 1 already" in str(error.value)
    assert "study.yaml" in str(error.value)


@pytest.mark.parametrize(("text", "number"), [("010", 8), ("1:30", 90)])
def test_a_number_that_is_not_what_it_looks_like_is_refused(tmp_path, text, number):
    with pytest.raises(ConfigError, match=rf"line 1: {text} is the number {number} to YAML"):
        read_yaml(written(tmp_path, f"run: {text}\n"))
    assert read_yaml(written(tmp_path, f"run: '{text}'\n")) == {"run": text}
    with pytest.raises(ConfigError, match=f"--config 'seed={text}'"):
        changes([f"seed={text}"])


@pytest.mark.parametrize(
    ("text", "right"), [("1e-4", "1.0e-4"), ("2.5e3", "2.5e+3"), ("1E5", "1.0e+5")]
)
def test_a_number_that_yaml_takes_as_text_is_named_with_its_right_form(tmp_path, text, right):
    content = read_yaml(written(tmp_path, f"study: a\nseed: {text}\n"))
    with pytest.raises(ConfigError) as error:
        validate(content, "config", "study.yaml")
    assert f"'seed': '{text}' where integer is expected; write {right}" in str(error.value)
