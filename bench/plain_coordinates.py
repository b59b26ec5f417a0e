"""The coordinate decoder as its definition reads: unfold, sample four times, decode, add."""

import torch
import torch.nn.functional as F

from mrisr.networks.coordinates import CoordinateDecoder

TINY = 1e-9


def decode(
    decoder: CoordinateDecoder,
    features: torch.Tensor,
    coordinates: torch.Tensor,
    cell: torch.Tensor,
) -> torch.Tensor:
    """Decode features (N, C, h, w) at coordinates (N, K, 2), pixels of size `cell` (N, 2)."""
    batch, _, *shape = features.shape
    side = decoder.side
    unfolded = F.unfold(features, side, padding=side // 2).view(batch, -1, *shape)
    predictions, distances = [], []
    for up in (0, 1):
        for right in (0, 1):
            at = []
            for axis, move in enumerate((up, right)):
                place = ((coordinates[..., axis] + 1) * shape[axis] - 1) / 2
                at.append((place.floor() + move).clamp(0, shape[axis] - 1))
            rows, columns = (index.long() for index in at)
            place = (rows * shape[1] + columns)[:, None].expand(-1, unfolded.shape[1], -1)
            seen = unfolded.flatten(2).gather(2, place).transpose(1, 2)
            relative = torch.stack(
                [
                    (coordinates[..., axis] + 1) * shape[axis] - 1 - 2 * at[axis]
                    for axis in range(2)
                ],
                dim=-1,
            )
            inputs = [seen]
            inputs += [relative] if decoder.relative else []
            inputs += [cell[:, None].expand_as(relative)] if decoder.cell else []
            x = torch.cat(inputs, dim=-1)
            for layer in list(decoder.layers)[:-1]:
                x = F.relu(layer(x))
            predictions.append(decoder.layers[-1](x).squeeze(-1))
            distances.append(relative.abs() + TINY)
    # The area of the rectangle to the feature diagonally opposite.
    areas = [far.prod(dim=-1) for far in reversed(distances)]
    total = sum(areas)
    return sum(area / total * value for area, value in zip(areas, predictions, strict=True))
