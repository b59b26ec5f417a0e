import threading
import time

import pytest
import torch

from mrisr.networks.threads import each_in_a_thread


@pytest.mark.parametrize("threads", [1, 2])
def test_parts_have_a_thread_each_and_come_back_in_order(threads):
    torch.set_num_threads(threads)
    seen = set()

    def work(number):
        time.sleep(0.02 * (number == 0))  # the first one ends last
        seen.add((threading.get_ident(), torch.get_num_threads()))
        return number

    assert list(each_in_a_thread(work, range(6))) == list(range(6))
    assert torch.get_num_threads() == threads
    assert {count for _, count in seen} == {1}
    assert len(seen) == threads


def test_an_error_in_a_part_is_raised_and_threads_are_given_back():
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError):
        list(each_in_a_thread(lambda number: 1 // number, [1, 0, 1]))
    assert torch.get_num_threads() == 2
