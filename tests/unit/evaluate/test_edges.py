import numpy as np
import pytest

from mrisr import metrics
from mrisr.common.errors import InputError
from mrisr.evaluate.edges import edges
from mrisr.evaluate.measured import heading
from mrisr.evaluate.pieces import evaluate


@pytest.fixture
def brain():
    """A box with a step inside it, and its mask."""
    truth, mask = np.zeros((30, 24, 20)), np.zeros((30, 24, 20), np.uint8)
    mask[2:-2, 2:-2, 2:-2] = 1
    truth[2:16, 2:-2, 2:-2], truth[16:-2, 2:-2, 2:-2] = 0.9, 0.5
    return truth, mask


def test_edges_lie_at_the_step_and_not_at_the_rim_of_the_mask(brain):
    truth, mask = brain
    found = edges(truth, mask, 0)
    assert found.any() and set(np.unique(np.nonzero(found)[0])) <= {14, 15, 16, 17}
    inner = (mask[4:-4, 4:-4, 4:-4] > 0).sum()
    assert 0.1 * inner <= found.sum() <= 0.2 * inner  # ties of a step are all taken
    rim = edges(truth, None, 0.01)
    assert (np.nonzero(rim)[0] < 4).any() and not rim[truth == 0].any()


def test_slices_have_edges_too(brain):
    truth, mask = (data[:, :, 9:10] for data in brain)
    found = edges(truth, mask, 0)
    assert found.shape == truth.shape and set(np.unique(np.nonzero(found)[0])) <= {14, 15, 16, 17}


def test_metrics_at_edges_see_nothing_else(brain):
    truth, mask = brain
    at = edges(truth, mask, 0)
    noise = np.random.default_rng(0).normal(0, 0.1, truth.shape)
    names, regions = ["psnr", "ssim", "gain", "fourier"], ["volume", "mask", "edges"]

    def values(image):
        table = evaluate(truth, image, mask, names, regions)
        return table.set_index(["metric", "region"])["value"]

    elsewhere = values(truth + np.where(at, 0, noise))
    assert elsewhere["psnr", "edges"] == np.inf and np.isfinite(elsewhere["psnr", "mask"])
    found = values(truth + noise)
    assert found["psnr", "edges"] == metrics.get("psnr")(truth, truth + noise, at)
    assert found["ssim", "edges"] == metrics.get("ssim")(truth, truth + noise, at)
    assert list(found["fourier"].index) == ["volume"]
    assert list(evaluate(truth, truth, mask, ["psnr"])["region"]) == ["volume", "mask"]
    assert heading("psnr", "edges") == "PSNR at edges ↑ (dB)"


def test_what_has_no_edges_is_refused():
    flat = np.ones((8, 8, 8))
    with pytest.raises(InputError, match="the ground truth has no edges"):
        edges(flat, flat, 0)
    with pytest.raises(InputError, match="leave the region 'edges' out"):
        edges(0 * flat, None, 0)
