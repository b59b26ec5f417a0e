import pytest

from mrisr.train.schedules import learning_rate

SETTINGS = {"learning_rate": 1e-3, "halve_every": 2, "epochs": 10, "minutes": 5}


def rates(seconds=0.0, **training):
    return [learning_rate({**SETTINGS, **training}, step, 10, seconds) for step in range(100)]


def test_the_published_schedule_is_halved_in_steps():
    assert rates() == [1e-3 * 0.5 ** (step // 20) for step in range(100)]


def test_the_shapes_of_the_others():
    cosine, cycle, stable = (rates(schedule=kind) for kind in ("cosine", "one_cycle", "stable"))
    assert cosine[0] == 1e-3 and cosine[50] == pytest.approx(5e-4) and 0 < cosine[99] < 1e-6
    assert cycle[0] == pytest.approx(4e-5) and cycle[30] == max(cycle) == 1e-3
    assert cycle[:31] == sorted(cycle[:31]) and cycle[30:] == sorted(cycle[30:], reverse=True)
    assert cycle[99] < 1e-6
    assert set(stable[:70]) == {1e-3} and stable[85] == pytest.approx(5e-4)


def test_warmup_rises_to_the_schedule():
    warm = rates(warmup=10)
    assert warm[:10] == pytest.approx([1e-4 * n for n in range(1, 11)])
    assert warm[10:] == rates()[10:]


def test_by_time_it_follows_the_share_of_the_budget():
    assert rates(150.0, schedule="cosine", schedule_by="time") == pytest.approx([5e-4] * 100)
    assert set(rates(900.0, schedule="stable", schedule_by="time")) == {0.0}
