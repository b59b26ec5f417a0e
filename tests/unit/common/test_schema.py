"""Files that are no configs are refused at once."""

import time

import pytest

from mrisr.common.errors import ConfigError
from mrisr.common.schema import read_yaml

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
    start = time.monotonic()
    with pytest.raises(ConfigError, match=message) as error:
        read_yaml(path)
    assert str(path) in str(error.value) and time.monotonic() - start < 5


def test_anchors_of_ordinary_size_are_taken(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("a: &a {b: 1}\nc: *a\nd: {<<: *a, e: 2}\n")
    assert read_yaml(path)["d"] == {"b": 1, "e": 2}
