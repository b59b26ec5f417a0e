"""What is said of the models of one subject each."""

import os

import pytest

from mrisr.common.errors import InputError
from mrisr.figures.training_curves import read_curves
from mrisr.methods import method as methods
from mrisr.methods.model_files import (
    LOSSES,
    load_model,
    own_training,
    read_description,
    save_model,
)


def test_models_of_one_subject_each_say_how_far_they_came(tmp_path):
    for name, epochs, ended in (("a", 3.5, "time budget"), ("b", 20, "epochs")):
        about = {"epochs": epochs, "steps": round(10 * epochs), "ended": ended, "seconds": 1.0}
        more = {"epochs_asked": 20, "minutes_asked": 9, "collapsed": name == "b"}
        save_model(tmp_path / name, {}, [], about | more | {"preset": "published"})
    found = read_description([tmp_path / "a", tmp_path / "b"])
    assert found["models"] == 2 and found["collapsed"] and found["epochs"] == [3.5, 20]
    assert own_training(found) == (
        "a network a subject (2), each trained for 35 to 200 steps, 3.5 to 20 of 20 epochs, ended"
        " by the time budget of 9 minutes"
    )
    alone = own_training(read_description([tmp_path / "b"]) | {"preset": "demo"})
    assert alone == (
        "a network a subject (1), each trained for 200 steps, 20 of 20 epochs; demo preset, a"
        " shrunk network and schedule"
    )


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "log.csv"])
def test_a_flipped_byte_of_a_model_is_refused(tmp_path, name):
    method = methods.get("arssr_rdn", preset="demo")
    rows = [dict.fromkeys(LOSSES, 1)]
    save_model(tmp_path, method.build().state_dict(), rows, {"steps": 100, "seed": 11})
    model = {"folder": tmp_path, "label": "A", "trained": "x2", "look": None}
    look = {
        "model.safetensors": lambda: load_model(method, tmp_path / name),
        "model.json": lambda: read_description(tmp_path),
        "log.csv": lambda: read_curves([model]),
    }[name]
    look()
    file, about = tmp_path / name, (tmp_path / name).stat()
    content = bytearray(file.read_bytes())
    content[content.rfind(b"1") if name != "model.safetensors" else -100] ^= 8
    file.write_bytes(content)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(InputError, match=f"{name}: changed since it was made"):
        look()
