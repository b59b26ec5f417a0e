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


@pytest.mark.parametrize(
    ("units", "found"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": True}, True),
        ({"amx_bf16": True, "avx512_bf16": False}, True),
        ({"neon": True, "bf16": True}, True),
        ({"neon": True, "bf16": False}, False),
    ],
)
def test_bfloat16_of_a_cpu_is_that_of_its_own_units(units, found, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    assert devices.has_bfloat16(torch.device("cpu")) is found


@pytest.mark.parametrize("found", [True, False])
def test_bfloat16_of_a_gpu_is_not_emulated(found, monkeypatch):
    asked = []

    def supported(including_emulation):
        asked.append(including_emulation)
        return found

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert devices.has_bfloat16(torch.device("cuda")) is found and asked == [False]
