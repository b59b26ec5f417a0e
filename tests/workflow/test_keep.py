"""`keep` of a config: what goes when it has been used, and that nothing runs again for it."""

import pytest

from tiny_study import jobs

pytestmark = pytest.mark.workflow


def test_what_is_not_kept_is_deleted_once_used_and_nothing_is_made_again(tiny_study):
    study = tiny_study(keep=[], metrics=["psnr"])
    study.run()
    volumes = sorted(
        str(p.relative_to(study.results)) for p in study.results.glob("sr/**/*.nii.gz")
    )
    # The first test subject is in the figures.
    assert volumes == ["sr/tiny/cubic/x2/sub-04.nii.gz"]
    assert (study.results / "metrics" / "tiny" / "cubic" / "x2.csv").exists()
    assert "Nothing to be done" in study.run("-n")[1]

    # Another method is work of its own.
    study.config["methods"]["identity"] = None
    todo = jobs(study.run("-n")[1])
    assert todo["reconstruct_identity_tiny"] == todo["evaluate_tiny"] == 1
    assert not [rule for rule in todo if rule.startswith(("reconstruct_cubic", "degrade"))]
