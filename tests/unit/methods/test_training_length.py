import pytest

from mrisr.common.errors import ConfigError
from mrisr.methods import method as methods
from mrisr.methods.training_length import steps_per_epoch, total_steps
from mrisr.study.load import load_study
from mrisr.train.schedules import learning_rate
from tiny_study import ROOT

SUBJECTS = 50  # of ds002748's training split; the paper has 780


@pytest.fixture(scope="module")
def arssr():
    return load_study(ROOT / "config" / "arssr.yaml")


@pytest.mark.parametrize(
    ("method", "steps", "per_epoch"),
    [
        ("arssr_rdn", 780_000, 312),
        ("arssr_srresnet", 780_000, 312),
        ("arssr_rdn_aligned", 780_000, 312),
        ("srcnn3d", 936_000, 468),
        ("rescnn", 936_000, 468),
    ],
)
def test_the_arssr_study_trains_as_many_steps_as_published(arssr, method, steps, per_epoch):
    training = arssr.methods[method].spec["training"]
    patches = SUBJECTS * training["patches_per_subject"]
    assert steps_per_epoch(training, patches) == per_epoch
    assert total_steps(training, per_epoch) == steps
    # Halved after 200 of the published epochs, not after 200 passes over fewer subjects.
    halved = 200 * per_epoch
    rates = [learning_rate(training, step, per_epoch, 0) for step in (0, halved - 1, halved)]
    assert rates == [1e-4, 1e-4, 5e-5]


def test_epochs_decide_without_steps():
    training = methods.get("arssr_rdn").spec["training"]
    assert steps_per_epoch(training, 780 * 6) == 312
    assert total_steps(training, 312) == 780_000
    assert steps_per_epoch(training, SUBJECTS * 6) == 20
    assert steps_per_epoch({**training, "steps_per_epoch": 7, "steps": 99}, 1) == 7
    assert total_steps({**training, "steps": 99}, 7) == 99


def test_published_steps_must_be_known():
    asked = {"training": {"steps": "published"}}
    assert methods.get("srcnn3d", asked).spec["training"]["steps"] == 936_000
    # A demo stays one.
    small = methods.get("srcnn3d", asked, preset="demo").spec["training"]
    assert total_steps(small, small["steps_per_epoch"]) == 10 * 40
    with pytest.raises(ConfigError, match=r"method 'irem': training\.steps: published: its method"):
        methods.get("irem", asked)


def test_models_of_one_subject_each_have_epochs_and_no_steps():
    with pytest.raises(ConfigError, match=r"method 'irem': training\.steps is for networks of all"):
        methods.get("irem", {"training": {"steps": 5000}})
