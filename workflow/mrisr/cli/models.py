"""The commands that apply and describe trained models: `mrisr sr` and `mrisr info`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from mrisr.cli.found import Plugins, plugin_folders
from mrisr.common.progress import job

FILE = {"exists": True, "dir_okay": False}


def sr(
    scans: Annotated[
        list[Path], typer.Argument(help="A 3-D scan, NIfTI; or stacks of thick slices.", **FILE)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="NIfTI file to be written; default SCAN_sr.nii.gz, here."
        ),
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Up-sampling scale of one scan, e.g. 2 or 2.5.")
    ] = None,
    voxel_size: Annotated[
        float | None, typer.Option(min=0.01, help="Of the SR voxels in mm, in place of a scale.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Model folder, or its model.safetensors; default the one that comes with mrisr.",
            exists=True,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="Without a model: cubic, nearest; of stacks bspline, srr, irem."),
    ] = None,
    mask: Annotated[
        list[Path] | None,
        typer.Option(help="Of stacks: the mask of each, in their order; repeated.", **FILE),
    ] = None,
    register: Annotated[
        bool, typer.Option(help="Of stacks: move all others to the first one.")
    ] = True,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Of stacks: time that training may take (irem).")
    ] = None,
    plugins: Plugins = None,
    any_scale: Annotated[
        bool, typer.Option("--any-scale", help="Also scales that the model was not made for.")
    ] = False,
    keep_normalised: Annotated[
        bool, typer.Option("--keep-normalised", help="Leave the intensities in [0,1].")
    ] = False,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Average over the scan's 8 mirror images.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="Of the CPU.")] = os.cpu_count() or 1,
    memory: Annotated[
        int | None,
        typer.Option(min=1, help="MiB for the network on a CPU; default half of what is free."),
    ] = None,
    clip: Annotated[
        str, typer.Option(help="scan clips intensities to the range of the scan, none does not.")
    ] = "scan",
    force: Annotated[bool, typer.Option("--force", help="Replace the output.")] = False,
) -> None:
    """Super-resolve a scan with a trained model or by interpolation, or several stacks to one.

    Without --model and --method the model that comes with mrisr is applied.

    The output has the scan's orientation and intensity unit, and an affine that says where its
    voxels really are. That of several stacks has isotropic voxels along the first one's axes.
    """
    if clip not in ("scan", "none"):
        raise typer.BadParameter("--clip is scan or none")
    if device not in ("auto", "cpu", "cuda"):
        raise typer.BadParameter("--device is auto, cpu or cuda")
    if len(scans) > 1:
        given = voxel_size is not None and method is not None and output is not None
        if not given or scale is not None or model is not None or ensemble:
            raise typer.BadParameter(
                "several scans are stacks: give --method, --voxel-size and --output, and none of"
                " --model, --scale and --ensemble"
            )
        with job(None, threads):
            from mrisr.own_scans.stacks import super_resolve_stacks

            super_resolve_stacks(
                *(
                    scans,
                    output,
                    voxel_size,
                    method,
                    mask or (),
                    plugin_folders(plugins),
                    register,
                    minutes,
                ),
                keep_normalised=keep_normalised,
                device=device,
                threads=threads,
                memory_mb=memory,
                force=force,
                clip=clip,
            )
        return
    if (scale is None) == (voxel_size is None) or mask or minutes is not None:
        raise typer.BadParameter(
            "one scan: give either --scale or --voxel-size; --mask and --minutes are for several"
            " stacks"
        )
    if model is not None and method is not None:
        raise typer.BadParameter("give --model FOLDER or --method NAME, not both")
    if output is None:
        output = Path(scans[0].name.removesuffix(".gz").removesuffix(".nii") + "_sr.nii.gz")
    with job(None, threads):
        from mrisr.own_scans.scan import super_resolve

        super_resolve(
            *(scans[0], output, scale, model, method, voxel_size, ensemble),
            plugins=plugin_folders(plugins),
            any_scale=any_scale,
            keep_normalised=keep_normalised,
            device=device,
            threads=threads,
            memory_mb=memory,
            force=force,
            clip=clip,
        )


def info(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="Model folder, or its model.safetensors; default the one that comes with mrisr.",
            exists=True,
        ),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Say what a trained model is, what it was trained on, and how to apply it."""
    with job(None):
        from mrisr.methods import shipped
        from mrisr.own_scans.trained_model import describe, open_model

        model = model or shipped.weights_file(shipped.DEFAULT, "mrisr info").parent
        lines = describe(open_model(model, plugin_folders(plugins)), model)
        width = max(len(name) for name, _ in lines)
        typer.echo("\n".join(f"{name.ljust(width)}  {text}" for name, text in lines))
