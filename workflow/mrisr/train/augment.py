"""Augmentation of training patches: flips, turns, other contrasts, added noise.

Patches change on the device, before LR patches are simulated, so that LR and HR agree. The
draws of a step depend on the seed and the step's number alone.
"""

from collections.abc import Mapping

import torch

from mrisr.common import devices, seeds

# Below this share of the volume's maximum a voxel is air.
AIR = 0.02
# For a changed contrast: spread of the exponent's logarithm; range of the place where the curve
# turns around, as a share of its top; its top, which is TOP times the mean of the patch.
EXPONENT, TURN, TOP = 0.7, (0.3, 0.9), 2.5
# Standard deviation of added noise, as a share of the mean of the patch; drawn log-uniformly.
NOISE = (0.005, 0.06)


def brightness(patches: torch.Tensor) -> torch.Tensor:
    """Return the mean of each patch without air, shape (B,), at least 0.05.

    Args:
        patches: Intensities in [0,1], shape (B, ...).
    """
    flat = patches.flatten(1)
    inside = flat > AIR
    return ((flat * inside).sum(1) / inside.sum(1).clamp(min=1)).clamp(min=0.05)


class Augmentation:
    """Augmentation of the patches of a step.

    Args:
        chosen: `training.augment` of a method. `flips` and `turns` tell whether patches are
            mirrored and whether axes change places. `contrast` and `noise` are the share of patches
            whose intensities go through a random curve, and the share that noise is added to.
        seed_parts: Values that seed the draws.
    """

    def __init__(self, chosen: Mapping | None, *seed_parts: object):
        self.chosen, self.parts = dict(chosen or {}), seed_parts

    def __call__(self, patches: torch.Tensor, step: int) -> torch.Tensor:
        """Return the patches of a step, changed.

        Args:
            patches: Ground truth in [0,1], shape (B, s, s, s).
            step: Number of the step.
        """
        if not any(self.chosen.values()):
            return patches
        # Drawn on the host, so that no step waits for a GPU.
        random = torch.Generator().manual_seed(seeds.seed(*self.parts, "augment", step))
        patches = torch.stack([self._moved(patch, random) for patch in patches])
        count = len(patches)
        share, power, peak, turned = torch.rand((4, count), generator=random)
        # Which patches change is known on the host too, and only they are computed.
        changed = (share < (self.chosen.get("contrast") or 0)).nonzero().flatten()
        if len(changed):
            where = devices.send(changed, patches.device)
            curves = power[changed], peak[changed], turned[changed] < 0.5
            patches[where] = _other_contrast(patches[where], *curves)
        share, level = torch.rand((2, count), generator=random)
        noisy = (share < (self.chosen.get("noise") or 0)).nonzero().flatten()
        if len(noisy):
            where = devices.send(noisy, patches.device)
            low, high = torch.tensor(NOISE).log()
            clean = patches[where]
            sigma = _shaped((low + (high - low) * level[noisy]).exp(), clean)
            sigma = sigma * _shaped(brightness(clean), clean)
            # Take the magnitude, as a scanner does.
            noise = self._noise(patches, random, step)[where]
            patches[where] = (clean + sigma * noise).abs()
        return patches

    def _noise(self, patches: torch.Tensor, random: torch.Generator, step: int) -> torch.Tensor:
        """Return normal numbers; of a GPU's own draw, which takes a CPU longer than a step."""
        if patches.device.type != "cpu":
            random = torch.Generator(device=patches.device)
            random.manual_seed(seeds.seed(*self.parts, "noise", step))
        return torch.randn(patches.shape, generator=random, device=patches.device)

    def _moved(self, patch: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        axes = patch.ndim
        order = torch.randperm(axes, generator=random).tolist()
        mirrored = torch.randint(2, (axes,), generator=random).tolist()
        if self.chosen.get("turns"):
            patch = patch.permute(order)
        if self.chosen.get("flips"):
            patch = patch.flip([axis for axis in range(axes) if mirrored[axis]])
        return patch


def _shaped(scalars: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
    """Return one scalar a patch, in the shape that multiplies patches, on their device."""
    return devices.send(scalars, patches.device).view(-1, *[1] * (patches.ndim - 1))


def _other_contrast(
    patches: torch.Tensor, power: torch.Tensor, peak: torch.Tensor, turned: torch.Tensor
) -> torch.Tensor:
    """Return intensities after a random curve: rising, or turning around inside; air stays 0.

    Args:
        patches: Shape (B, ...).
        power: Uniform in [0,1], shape (B,).
        peak: Likewise; where the curve turns.
        turned: Whether it turns, shape (B,).
    """
    top = TOP * _shaped(brightness(patches), patches)
    exponent = _shaped(((2 * power - 1) * EXPONENT).exp(), patches)
    curve = (patches / top).clamp(min=0) ** exponent
    low, high = TURN
    peak = _shaped(low + (high - low) * peak, patches)
    around = torch.where(curve < peak, curve, (2 * peak - curve).clamp(min=0))
    return top * torch.where(_shaped(turned, patches), around, curve)
