"""The config's key `degradation`: what goes together, and which methods take its LR."""

from collections.abc import Iterator

from mrisr.common.layout import scale_name
from mrisr.degrade.acquisition import by_scale
from mrisr.study.study import Study

#: Inputs of methods that a kind of degradation serves, where it is not the kind itself. One stack
#: of thick slices is a volume, and a set of stacks too.
TAKEN = {"through_plane": ("through_plane", "volume", "stacks")}
THICK = ("axis", "acquisitions", "profile")
OTHERS = ("kernel", "grid", "antialias", "window", "noise")


def problems(study: Study) -> Iterator[str]:
    """Yield settings of the degradation that contradict each other, with the key."""
    given, kind = study.given_degradation, study.degradation["kind"]
    if kind == "through_plane":
        yield from _thick_problems(study)
        return
    if "through_plane" in study.config["regions"]:
        yield "regions: through_plane is for degradation.kind: through_plane; leave it out"
    for key in THICK:
        if key in given:
            yield f"degradation.{key}: is for kind: through_plane; leave it out"
    kernel = study.degradation["kernel"]
    if kernel == "kspace":
        if kind != "volume":
            yield "degradation.kernel: kspace is for kind: volume; choose another"
        if study.degradation["grid"] != "centres":
            yield "degradation.grid: kspace keeps the field of view; set grid: centres"
        if study.degradation["antialias"]:
            yield "degradation.antialias: kspace cuts frequencies itself; leave it out"
    elif given.get("window"):
        yield "degradation.window: is for kernel: kspace; leave it out"
    if given.get("noise") and kind != "volume":
        yield "degradation.noise: is for kind: volume; leave it out"


def _thick_problems(study: Study) -> Iterator[str]:
    for key in OTHERS:
        if study.given_degradation.get(key) is not None:
            yield f"degradation.{key}: is not for kind: through_plane; leave it out"
    listed = by_scale(study.degradation.get("acquisitions") or ())
    if not listed:
        yield (
            "degradation.acquisitions: are missing; list thickness|gap in voxels of the ground"
            " truth, such as [3|0, 4|1]"
        )
        return
    for name in study.test_datasets:
        for scale in study.scales(name):
            if float(scale) not in listed and study.datasets[name].has_ground_truth:
                yield (
                    f"scales: no acquisition has a slice every {scale_name(scale)} voxels; those of"
                    f" degradation.acquisitions are {', '.join(map(scale_name, listed))}"
                )
    for method in study.supervised:
        if method.spec.get("network") != "query":
            yield (
                f"methods.{method.name}: is trained on volumes reduced along all axes, which thick"
                " slices are not; leave it out, or take a query network"
            )
