"""What is said before a trained model is applied."""

from types import SimpleNamespace

import numpy as np

from mrisr.own_scans.remarks import doubts
from mrisr.volumes.io import Volume


def model(steps, **said):
    method = SimpleNamespace(spec={"published_steps": 1000})
    return SimpleNamespace(method=method, description={"steps": steps, **said})


def scan(edges=(1, 1, 1), outside=0.0):
    data = np.full((10, 10, 10), outside, np.float32)
    data[2:8, 2:8, 2:8] = 100
    return Volume(data, np.diag([*edges, 1.0]))


def test_a_trained_model_on_a_stripped_isotropic_scan_is_beyond_doubt():
    assert list(doubts(scan(), model(1000))) == []


def test_every_doubt_is_said():
    found = list(doubts(scan((0.9, 0.9, 4.5), outside=3), model(50)))
    assert [text.split()[0] for text in found] == ["the", "slices", "100%"]
    assert "undertrained: 50 of 1,000 published steps" in found[0]
    assert "slices every 4.5 mm, 5 times as far apart" in found[1]
    thick = model(1000, training={"thick_slices": {"share": 1}})
    assert list(doubts(scan((0.9, 0.9, 4.5)), thick)) == []
    assert "collapsed" in next(doubts(scan(), model(1000, collapsed=True)))


def ball(ml, noise=0.0):
    """A ball of a volume in the middle of 96 x 96 x 96 voxels of 2 mm."""
    radius = (3 * 1000 * ml / (4 * np.pi)) ** (1 / 3) / 2
    grid = np.stack(np.meshgrid(*[np.arange(96) - 47.5] * 3, indexing="ij"))
    inside = (grid**2).sum(0) < radius**2
    data = np.where(inside, 100, noise * np.random.default_rng(0).random(inside.shape))
    return Volume(data.astype(np.float32), np.diag([2.0, 2, 2, 1]))


def test_a_head_is_told_from_a_brain_by_its_measured_volume():
    assert list(doubts(ball(1500), model(1000))) == []
    (said,) = doubts(ball(3000), model(1000))
    found = int(said.split(" ml")[0].rpartition(" ")[2].replace(",", ""))
    assert abs(found - 3000) < 60 and "where a brain has less than 2,200" in said
    # Noise in the air makes no head.
    (said,) = doubts(ball(1500, noise=4), model(1000))
    assert said.startswith("100% of the outermost voxels are above 0: the background is not 0")
