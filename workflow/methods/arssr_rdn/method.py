"""ArSSR (Wu et al. 2023) with the residual dense encoder."""

from mrisr.networks.arssr import RDN, ArSSR


def build(
    features: int = 64,
    growth: int = 64,
    blocks: int = 8,
    layers: int = 3,
    channels: int = 128,
    width: int = 256,
    head: str = "relu",
) -> ArSSR:
    """Build ArSSR with the RDN encoder; 6,283,460 parameters as published.

    Args:
        features: Channels of the encoder.
        growth: Channels that a dense layer adds.
        blocks: Residual dense blocks.
        layers: Dense layers a block.
        channels: Channels of the feature map.
        width: Neurons of the decoder's hidden layers.
        head: `relu` (published) or `linear`: what follows the decoder's last layer.
    """
    return ArSSR(RDN(features, growth, blocks, layers, channels), channels, width, head)
