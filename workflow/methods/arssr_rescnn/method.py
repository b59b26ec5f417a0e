"""ArSSR (Wu et al. 2023) with the ResCNN encoder."""

from mrisr.networks.arssr import ArSSR, ResCNN


def build(
    features: int = 64,
    blocks: int = 3,
    layers: int = 6,
    channels: int = 128,
    width: int = 256,
    head: str = "relu",
) -> ArSSR:
    """Build ArSSR with the ResCNN encoder; 2,579,588 parameters as published.

    Args:
        features: Channels of the encoder.
        blocks: Residual blocks.
        layers: Convolutions a block.
        channels: Channels of the feature map.
        width: Neurons of the decoder's hidden layers.
        head: `relu` (published) or `linear`: what follows the decoder's last layer.
    """
    return ArSSR(ResCNN(features, blocks, layers, channels), channels, width, head)
