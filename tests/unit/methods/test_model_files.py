"""What is said of the models of one subject each."""

from mrisr.methods.model_files import own_training, read_description, save_model


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
