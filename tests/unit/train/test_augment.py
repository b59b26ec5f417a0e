import pytest
import torch

from mrisr.train.augment import Augmentation, brightness


@pytest.fixture
def patches():
    volumes = torch.rand((6, 7, 7, 7), generator=torch.Generator().manual_seed(1))
    volumes[:, :2] = 0  # air
    return volumes


def test_nothing_asked_changes_nothing(patches):
    assert Augmentation(None, "seed")(patches, 3) is patches
    assert Augmentation({"flips": False, "noise": 0.0}, "seed")(patches, 3) is patches


@pytest.mark.parametrize("what", [{"flips": True}, {"turns": True}, {"flips": True, "turns": True}])
def test_moved_patches_hold_the_same_voxels(patches, what):
    moved = Augmentation(what, "seed")(patches, 3)
    assert torch.equal(moved.flatten(1).sort(1).values, patches.flatten(1).sort(1).values)
    assert sum(not torch.equal(a, b) for a, b in zip(moved, patches, strict=True)) > 2
    again = Augmentation(what, "seed")(patches, 3)
    assert torch.equal(moved, again)
    assert not torch.equal(moved, Augmentation(what, "seed")(patches, 4))
    assert not torch.equal(moved, Augmentation(what, "other")(patches, 3))


def test_another_contrast_keeps_air_and_order_or_turns_it_once(patches):
    changed = Augmentation({"contrast": 1.0}, "seed")(patches, 0)
    assert (changed[patches == 0] == 0).all()
    assert (changed >= 0).all()
    rising = 0
    for before, after in zip(patches, changed, strict=True):
        by_brightness = after.flatten()[before.flatten().argsort()].diff()
        rising += bool((by_brightness >= -1e-6).all())
        # One peak at most: it rises, then falls.
        falls = (by_brightness < -1e-6).nonzero()
        if len(falls):
            assert (by_brightness[int(falls[0]) :] <= 1e-6).all()
    assert 0 < rising < 6


def test_noise_is_what_is_asked_and_a_share_is_left_alone(patches):
    large = patches[:1].repeat(64, 1, 1, 1) + 0.3
    noisy = Augmentation({"noise": 0.5}, "seed")(large, 0)
    apart = (noisy - large).flatten(1).std(1) / brightness(large)
    changed = apart > 0
    assert 20 < int(changed.sum()) < 44
    assert float(apart[changed].min()) > 0.004
    assert float(apart[changed].max()) < 0.07


def test_brightness_leaves_air_out():
    patch = torch.zeros(1, 4, 4, 4)
    patch[0, 0] = 0.4
    torch.testing.assert_close(brightness(patch), torch.tensor([0.4]))
    assert brightness(torch.zeros(1, 4, 4, 4)) == 0.05
