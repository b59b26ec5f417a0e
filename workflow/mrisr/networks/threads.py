"""Many small operations of torch on several cores."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")
Made = TypeVar("Made")


def each_in_a_thread(work: Callable[[Part], Made], parts: Sequence[Part]) -> Iterator[Made]:
    """Do parts of some work at once, as many as torch has threads; yield their results in order.

    Each part has one thread for all of its operations. Torch's own way, all threads for each
    operation, wakes them and waits for them every time, which for small operations takes longer
    than it saves.

    Args:
        work: Called in another thread, where torch's contexts (no gradients, autocast) do not hold:
            it enters those that it needs.
        parts: What it is called with.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        yield from map(work, parts)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(work, parts)
    finally:
        torch.set_num_threads(threads)
