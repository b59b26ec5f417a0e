"""Training of an implicit network as its definition reads: pairs from a data loader."""

from collections.abc import Iterator

import torch
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset


def trainer(
    network: torch.nn.Module,
    positions: torch.Tensor,
    values: torch.Tensor,
    batch: int,
    device: torch.device,
) -> Iterator[None]:
    """Take a step for every item drawn.

    Args:
        network: Positions (N, 3) to intensities (N,).
        positions: Shape (N, 3), on the CPU.
        values: Shape (N,), on the CPU.
        batch: Positions a step.
        device: Of the network.
    """
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    loader = DataLoader(TensorDataset(positions, values), batch, shuffle=True, drop_last=True)
    network.train()
    while True:
        for where, wanted in loader:
            loss = mse_loss(network(where.to(device)), wanted.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield
