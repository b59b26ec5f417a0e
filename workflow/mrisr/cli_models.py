"""The commands that apply and describe trained models: `mrisr sr` and `mrisr info`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from mrisr.progress import job

FILE = {"exists": True, "dir_okay": False}
Plugins = Annotated[
    list[Path] | None,
    typer.Option(help="Folder that holds methods/; may be repeated.", exists=True, file_okay=False),
]


def sr(
    scan: Annotated[Path, typer.Argument(help="A 3-D scan, NIfTI.", **FILE)],
    scale: Annotated[float, typer.Option(help="Up-sampling scale, e.g. 2 or 2.5.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="NIfTI file to be written.")],
    model: Annotated[
        Path | None, typer.Option(help="Model folder, or its model.safetensors.", exists=True)
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="A method without a model instead: cubic, nearest.")
    ] = None,
    plugins: Plugins = None,
    any_scale: Annotated[
        bool, typer.Option("--any-scale", help="Also scales that the model was not made for.")
    ] = False,
    keep_normalised: Annotated[
        bool, typer.Option("--keep-normalised", help="Leave the intensities in [0,1].")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="Of the CPU.")] = os.cpu_count() or 1,
    memory: Annotated[
        int | None,
        typer.Option(min=1, help="MiB for the network on a CPU; default half of what is free."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output.")] = False,
) -> None:
    """Super-resolve a scan with a trained model, or by interpolation.

    The output has the scan's orientation and intensity unit, and an affine that says where its
    voxels really are.
    """
    if (model is None) == (method is None):
        raise typer.BadParameter("give either --model FOLDER or --method NAME")
    if device not in ("auto", "cpu", "cuda"):
        raise typer.BadParameter("--device is auto, cpu or cuda")
    with job(None, threads):
        from mrisr.own import super_resolve

        super_resolve(
            *(scan, output, scale, model, method, plugins or (), any_scale, keep_normalised),
            *(device, threads, memory, force),
        )


def info(
    model: Annotated[
        Path, typer.Argument(help="Model folder, or its model.safetensors.", exists=True)
    ],
    plugins: Plugins = None,
) -> None:
    """Say what a trained model is, what it was trained on, and how to apply it."""
    with job(None):
        from mrisr.trained import describe, open_model

        lines = describe(open_model(model, plugins or ()), model)
        width = max(len(name) for name, _ in lines)
        typer.echo("\n".join(f"{name.ljust(width)}  {text}" for name, text in lines))
