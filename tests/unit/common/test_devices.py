import pytest
import torch

from mrisr.common import devices
from mrisr.metrics._backbone import full_precision


@pytest.mark.parametrize("products", ["tf32", "ieee"])
def test_arithmetic_holds_before_and_after_metrics_that_want_full_precision(products):
    try:
        devices.arithmetic(products)
        with full_precision(torch.device("cuda")):
            assert torch.backends.cudnn.conv.fp32_precision == "ieee"
        for library in (torch.backends.cudnn, torch.backends.cuda.matmul):
            assert library.allow_tf32 == (products == "tf32")
    finally:
        devices.arithmetic("ieee")
