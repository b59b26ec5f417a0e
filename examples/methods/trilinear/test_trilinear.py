"""trilinear keeps the contract of methods; what else it promises is tested here too."""

import shutil
from pathlib import Path

import pytest

from mrisr import contract

PLUGIN = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not shutil.which("perl"), reason="perl is not installed")


@pytest.mark.parametrize("check", contract.method("trilinear", [PLUGIN]), ids=str)
def test_keeps_the_contract(check):
    check()
