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
    assert "slices of 4.5 mm, 5 times as thick" in found[1]
    assert "collapsed" in next(doubts(scan(), model(1000, collapsed=True)))
