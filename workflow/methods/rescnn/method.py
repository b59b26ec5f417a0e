"""ResCNN (Du et al. 2020) on the interpolated LR volume."""

from mrisr.networks.arssr import ResCNN


def build(features: int = 64, blocks: int = 3, layers: int = 6) -> ResCNN:
    """Build the network; 1,995,329 parameters as published.

    Args:
        features: Channels between the convolutions.
        blocks: Residual blocks.
        layers: Convolutions a block.
    """
    return ResCNN(features, blocks, layers, channels=1)
