"""Where and how exactly torch computes."""

import torch


def pick(threads: int) -> torch.device:
    """Return the first GPU if there is one, else the CPU with `threads` threads.

    Products on a GPU are float32 in full, as on a CPU, unless `arithmetic` allows less.
    """
    torch.set_num_threads(max(1, threads))
    arithmetic("ieee")
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def arithmetic(products: str) -> None:
    """Say how a GPU multiplies float32 numbers from now on; a CPU is not affected.

    Args:
        products: `ieee` (float32) or `tf32` (rounded to 10 bits of mantissa, several times
            faster).
    """
    torch.backends.cuda.matmul.fp32_precision = products
    torch.backends.cudnn.conv.fp32_precision = products
    # Shapes hardly change in training or over the tiles of a volume.
    torch.backends.cudnn.benchmark = True
