"""The commands that apply and describe trained models: `mrisr sr` and `mrisr info`."""

from pathlib import Path
from typing import Annotated

import typer

from mrisr.cli.found import Plugins, plugin_folders
from mrisr.common import cores
from mrisr.common.progress import job
from mrisr.common.text import columns

FILE = {"exists": True, "dir_okay": False}
THREADS = cores.wanted()
MODEL = "Model folder, or its model.safetensors; default the one that comes with mrisr."

# The arguments and options of `mrisr sr`.
Scans = Annotated[
    list[Path],
    typer.Argument(
        help="A 3-D scan, NIfTI; stacks of thick slices; or a folder of scans, BIDS or not.",
        exists=True,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="NIfTI file or folder to write; default SCAN_sr.nii.gz in this folder.",
    ),
]
Scale = Annotated[float | None, typer.Option(help="Up-sampling scale of one scan, e.g. 2 or 2.5.")]
VoxelSize = Annotated[
    float | None, typer.Option(min=0.01, help="Edge of the SR voxels in mm, instead of a scale.")
]
Model = Annotated[Path | None, typer.Option(help=MODEL, exists=True)]
MethodName = Annotated[
    str | None,
    typer.Option(help="Without a model: cubic, nearest, smore; of stacks bspline, srr, irem."),
]
Thickness = Annotated[
    float | None,
    typer.Option(min=0.01, help="Thickness of the slices in mm; default: see the BIDS sidecar."),
]
Gap = Annotated[float | None, typer.Option(help="Gap between thick slices in mm.")]
Masks = Annotated[
    list[Path] | None,
    typer.Option(help="For stacks: the mask of each, in their order; repeat the option.", **FILE),
]
Register = Annotated[bool, typer.Option(help="For stacks: align all others with the first one.")]
Minutes = Annotated[
    float | None, typer.Option(min=0.1, help="Time that training may take (smore, irem).")
]
AnyScale = Annotated[
    bool, typer.Option("--any-scale", help="Allow scales that the model was not made for.")
]
KeepNormalised = Annotated[
    bool, typer.Option("--keep-normalised", help="Leave the intensities in [0,1].")
]
Ensemble = Annotated[
    bool, typer.Option("--ensemble", help="Average over the scan's 8 mirror images.")
]
Precision = Annotated[
    str,
    typer.Option(help="float32, or bfloat16: faster where the device has it, hardly different."),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[
    int,
    typer.Option(min=1, help="Threads of the CPU; default OMP_NUM_THREADS, else your cores."),
]
Each = Annotated[
    bool, typer.Option("--each", help="Take several scans one by one, not as stacks of one head.")
]
Strip = Annotated[
    bool, typer.Option("--strip", help="Strip the skull first, by SynthStrip or HD-BET.")
]
Memory = Annotated[
    int | None,
    typer.Option(min=1, help="MiB for the network on a CPU; default half of what is free."),
]
Clip = Annotated[
    str, typer.Option(help="scan clips intensities to the range of the scan, none does not.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace the output if it is there.")]


def sr(
    scans: Scans,
    output: Output = None,
    scale: Scale = None,
    voxel_size: VoxelSize = None,
    model: Model = None,
    method: MethodName = None,
    mask: Masks = None,
    register: Register = True,
    minutes: Minutes = None,
    plugins: Plugins = None,
    any_scale: AnyScale = False,
    keep_normalised: KeepNormalised = False,
    ensemble: Ensemble = False,
    device: Device = "auto",
    threads: Threads = THREADS,
    memory: Memory = None,
    clip: Clip = "scan",
    force: Force = False,
    thickness: Thickness = None,
    gap: Gap = None,
    each: Each = False,
    strip: Strip = False,
    precision: Precision = "float32",
) -> None:
    """Super-resolve a scan with a trained model or by interpolation, or several stacks to one.

    Without --model and --method the model that comes with mrisr is applied. Without --scale and
    --voxel-size all voxels get the scan's finest edge: thick slices become an isotropic volume.

    The output has the scan's orientation and intensity unit, and an affine that says where its
    voxels really are. That of several stacks has isotropic voxels along the first one's axes.

    A BIDS folder becomes a BIDS derivative with an SR volume for each anatomical scan.
    """
    if clip not in ("scan", "none"):
        raise typer.BadParameter("--clip is scan or none")
    if device not in ("auto", "cpu", "cuda"):
        raise typer.BadParameter("--device is auto, cpu or cuda")
    if precision not in ("float32", "bfloat16"):
        raise typer.BadParameter("--precision is float32 or bfloat16")
    low = precision == "bfloat16"
    cores.let_others_work()
    how = {"keep_normalised": keep_normalised, "device": device, "threads": threads}
    how |= {"memory_mb": memory, "force": force, "clip": clip}
    many = each or any(scan.is_dir() for scan in scans)
    if len(scans) > 1 and not many:
        if strip:
            raise typer.BadParameter("--strip is for scans that are no stacks")
        given = voxel_size is not None and method is not None and output is not None
        unused = (scale, model, thickness, gap, ensemble or None, low or None)
        if not given or any(option is not None for option in unused):
            raise typer.BadParameter(
                "several scans are stacks: give --method, --voxel-size and --output, and none of"
                " --model, --scale, --thickness, --gap, --ensemble and --precision; or --each, for"
                " a volume of each"
            )
        with job(None, threads):
            from mrisr.own_scans.stacks import super_resolve_stacks

            stacks = (scans, output, voxel_size, method, mask or ())
            super_resolve_stacks(*stacks, plugin_folders(plugins), register, minutes, **how)
        return
    if (scale is not None and voxel_size is not None) or mask:
        raise typer.BadParameter(
            "one scan: give --scale or --voxel-size, not both; --mask is for several stacks"
        )
    if minutes is not None and method is None:
        raise typer.BadParameter("--minutes is for a --method that trains on the scan: smore")
    if model is not None and method is not None:
        raise typer.BadParameter("give --model FOLDER or --method NAME, not both")
    if output is None and not many:
        output = Path(scans[0].name.removesuffix(".gz").removesuffix(".nii") + "_sr.nii.gz")
    with job(None, threads):
        from mrisr.own_scans.scan import super_resolve

        how |= {"thickness": thickness, "gap": gap, "minutes": minutes}
        how |= {"plugins": plugin_folders(plugins), "any_scale": any_scale}
        how |= {"precision": precision}
        asked = (scale, model, method, voxel_size, ensemble)
        if many or strip:
            from mrisr.own_scans.many import super_resolve_each

            def one(scan: Path, made: Path) -> None:
                super_resolve(scan, made, *asked, **how)

            super_resolve_each(scans, output, strip, one, force, device, threads)
        else:
            super_resolve(scans[0], output, *asked, **how)


def info(
    model: Annotated[Path | None, typer.Argument(help=MODEL, exists=True)] = None,
    plugins: Plugins = None,
) -> None:
    """Say what a trained model is, what it was trained on, and how to apply it."""
    with job(None):
        from mrisr.methods import shipped
        from mrisr.own_scans.trained_model import describe, open_model

        model = model or shipped.weights_file(shipped.DEFAULT, "mrisr info").parent
        lines = describe(open_model(model, plugin_folders(plugins)), model)
        typer.echo(columns(lines, words=True))
