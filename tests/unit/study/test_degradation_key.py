"""The config's key `degradation`: thick slices, k-space, noise."""

import pytest
import yaml

from mrisr.common.errors import ConfigError
from mrisr.plan import cells, figures
from mrisr.study.load import checked

THICK = {"kind": "through_plane", "acquisitions": ["3|0", "4|1", "5|1.5"]}
KSPACE = {"kind": "volume", "kernel": "kspace", "grid": "centres"}


def config(degradation, **other):
    base = {"study": "demo", "seed": 1, "preset": "demo", "datasets": {"demo": None}}
    base |= {"methods": {"cubic": None}, "metrics": ["psnr"], "degradation": degradation}
    return base | other


def test_acquisitions_are_the_scales_of_a_study():
    study = checked(config(THICK, methods={"cubic": None, "srr": None, "identity": None}))
    assert study.scales("demo") == [3, 5, 6.5]
    assert study.degradation == {
        **THICK,
        **{"axis": "axial", "profile": "gaussian", "grid": "centres"},
        **{"kernel": "slice_profile", "antialias": None},
    }
    said = cells.notes(study)["Degradation"]
    assert "axial thick slices with a Gaussian slice profile" in said
    assert "3 is 3|0, 5 is 4|1, 6.5 is 5|1.5" in said
    some = checked(config(THICK, scales=[5]))
    assert some.scales("demo") == [5]


@pytest.mark.parametrize(
    ("degradation", "other", "told"),
    [
        ({"kind": "through_plane"}, {}, "acquisitions: are missing"),
        ({**THICK, "acquisitions": ["4|1", "5|0"]}, {}, "both have a slice every 5 voxels"),
        ({**THICK, "acquisitions": ["4"]}, {}, "'4' is not thickness.gap"),
        (THICK, {"scales": [4]}, "scales: no acquisition has a slice every 4 voxels"),
        ({**THICK, "kernel": "bicubic"}, {}, "kernel: is not for kind: through_plane"),
        (THICK, {"methods": {"srcnn3d": None}}, "methods.srcnn3d: is trained on volumes reduced"),
        ({"kind": "volume"}, {}, "missing key 'scales'"),
        ({"kind": "volume", "axis": "axial"}, {"scales": [2]}, "axis: is for kind: through_plane"),
        ({**KSPACE, "grid": "corners"}, {"scales": [2]}, "set grid: centres"),
        ({**KSPACE, "kind": "slice"}, {"scales": [2]}, "kspace is for kind: volume"),
        ({**KSPACE, "antialias": 1}, {"scales": [2]}, "kspace cuts frequencies itself"),
        ({"kind": "volume", "window": "tukey"}, {"scales": [2]}, "window: is for kernel: kspace"),
        ({"kind": "stacks", "noise": {"snr": 9}}, {"scales": [2]}, "noise: is for kind: volume"),
    ],
)
def test_what_does_not_go_together_is_named(degradation, other, told):
    with pytest.raises(ConfigError, match=told):
        checked(config(degradation, **other))


def test_footnotes_tell_of_k_space_and_noise():
    how = {**KSPACE, "window": "tukey", "noise": {"snr": 30}}
    assert cells.notes(checked(config(how, scales=[2])))["Degradation"] == (
        "the centre of k-space, magnitude along all three axes, Tukey window, field of view kept;"
        " Rician noise, SNR 30 in the mask."
    )


def test_real_scans_with_thick_slices_take_part_and_show_three_planes(tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "sub-01").mkdir()
    about = {"label": "Clinic", "skull_stripped": True, "split": "test", "scans": "lr"}
    about |= {"source": {"kind": "bids", "folder": str(tmp_path)}}
    (tmp_path / "datasets/clinic.yaml").write_text(yaml.safe_dump(about))
    real = {"clinic": {"scales": [3.3]}, "demo": {"roles": ["test"]}}
    both = {"datasets": real, "plugins": [str(tmp_path)], "metrics": ["psnr", "psi"]}
    study = checked(config(THICK, **both))
    assert study.real_datasets == ["clinic"] and study.slice_axis == 2
    names = [figure.name for figure in figures.figures(study)]
    assert "stacks_clinic" in names and "real_clinic" not in names
    assert "refines its slice axis by the scale" in cells.notes(study)["Real scans"]
    with pytest.raises(ConfigError, match=r"through_plane is for degradation\.kind"):
        checked(config({"kind": "volume"}, scales=[2], regions=["volume", "through_plane"]))
