"""What the contract refuses in a network."""

import pytest
import yaml

from mrisr.common.errors import ContractError
from mrisr.contract.networks import learns_in_the_demo


@pytest.mark.parametrize(
    ("base", "demo", "refused"),
    [
        ("conv", {"training": {"steps_per_epoch": 40_000}}, True),
        ("conv", {"training": {"steps_per_epoch": 40}}, False),
        ("conv", {"training": {"steps": 400_000}}, True),
        ("irem", {"training": {"minutes": 30, "epochs": 50}}, True),
        ("irem", {"training": {"minutes": 2, "epochs": 50}}, False),
    ],
)
def test_a_training_too_large_for_the_demo_is_refused(tmp_path, base, demo, refused):
    folder = tmp_path / "methods" / "mine"
    folder.mkdir(parents=True)
    (folder / "method.yaml").write_text(yaml.safe_dump({"base": base, "demo": demo}))
    if refused:
        with pytest.raises(
            ContractError, match=r"would take \d.* TFLOP, more than 10; shrink demo"
        ):
            learns_in_the_demo("mine", [tmp_path])
    else:
        learns_in_the_demo("mine", [tmp_path])
