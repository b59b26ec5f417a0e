"""Coord (Van Veen et al. 2022): EDSR's features, decoded at any coordinates."""

from mrisr.networks.coordinates import CoordinateDecoder, CoordinateNetwork
from mrisr.networks.edsr import EDSR


def build(
    features: int = 64,
    blocks: int = 16,
    width: int = 256,
    layers: int = 5,
    relative: bool = True,
    cell: bool = True,
    unfold: bool = True,
) -> CoordinateNetwork:
    """Build the network; 1,565,633 parameters as published.

    Args:
        features: Channels of the encoder.
        blocks: Residual blocks of the encoder.
        width: Neurons of the decoder's hidden layers.
        layers: Fully connected layers of the decoder.
        relative: The decoder sees where the query lies from the feature that it decodes.
        cell: The decoder sees the size of the voxel that is asked for.
        unfold: The decoder sees the 3 x 3 features around the one that it decodes. All three
            False: the paper's formula, word for word (1,433,537 parameters, where the paper says
            roughly 1.6 million).
    """
    decoder = CoordinateDecoder(features, width, layers, relative, cell, unfold)
    return CoordinateNetwork(EDSR(features, blocks), decoder)
