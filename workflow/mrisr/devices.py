"""Where torch computes."""

import torch


def pick(threads: int) -> torch.device:
    """Return the first GPU if there is one, else the CPU with `threads` threads."""
    torch.set_num_threads(max(1, threads))
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
