"""The command `mrisr`: the steps of the workflow, for single files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrisr import metrics as metric_modules
from mrisr.cli import config, data, new, readers
from mrisr.cli.found import Plugins, plugin_folders
from mrisr.cli.models import info, sr
from mrisr.cli.partial import partial
from mrisr.cli.plan import plan
from mrisr.cli.reproduce import reproduce
from mrisr.cli.run import init, run
from mrisr.common import cores
from mrisr.common.progress import job, say
from mrisr.common.text import columns

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="MRI super-resolution, from scan to table. `mrisr run` runs a study, as `snakemake` does.",
)
app.add_typer(config.app, name="config")
app.add_typer(data.app, name="data")
app.add_typer(readers.app, name="readers")
app.add_typer(readers.renamed, name="study", hidden=True)
app.add_typer(new.app, name="new")
PATH = {"exists": True, "dir_okay": False}
app.command()(init)
app.command()(run)
app.command()(sr)
app.command()(info)
app.command()(partial)
app.command(context_settings={"allow_extra_args": True})(plan)
app.command()(reproduce)
app.command()(new.check)


def _version(wanted: bool) -> None:
    if wanted:
        from mrisr.common.provenance import version

        typer.echo(f"mrisr {version()}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, only warnings and results.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="All messages, and where an error arose.")
    ] = False,
) -> None:
    """MRI super-resolution, from scan to table. `mrisr run` runs a study, as `snakemake` does."""
    if quiet and verbose:
        raise typer.BadParameter("give --quiet or --verbose")
    if quiet or verbose:
        say("warnings" if quiet else "everything")


@app.command()
def metrics(
    image: Annotated[Path, typer.Argument(help="Volume to score, NIfTI.", **PATH)],
    reference: Annotated[
        Path | None, typer.Option(help="Ground truth, on the same grid and affine.", **PATH)
    ] = None,
    no_reference: Annotated[
        bool, typer.Option("--no-reference", help="Score the volume alone.")
    ] = False,
    mask: Annotated[
        Path | None, typer.Option(help="Nonzero inside: adds PSNR, SSIM and the fit there.", **PATH)
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Only this metric; may be repeated.")
    ] = None,
    backbone: Annotated[
        Path | None, typer.Option(help="AlexNet weights for LPIPS, a .pth file.", **PATH)
    ] = None,
    sigma: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="Width of LPC-SI's filters.")
    ] = 0.33,
    empty_slices: Annotated[
        str, typer.Option(help="`exclude` or `include` slices without signal.")
    ] = "exclude",
    csv: Annotated[Path | None, typer.Option(help="Also write the values in full here.")] = None,
    plugins: Plugins = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes at a time.")] = cores.available(),
) -> None:
    """Print the metrics of two volumes, or with --no-reference those of one.

    Intensities may have any unit: metrics on slices see the range of the reference as 0 to 255.
    """
    if (reference is None) != no_reference:
        raise typer.BadParameter("give either --reference VOLUME or --no-reference")
    if empty_slices not in ("exclude", "include"):
        raise typer.BadParameter("--empty-slices is exclude or include")
    with job(None):
        from mrisr.common import devices
        from mrisr.common.files import write_text
        from mrisr.evaluate.subjects import Options, evaluate_files

        metric_modules.use(plugin_folders(plugins))
        settings = {
            "lpc_si": {"sigma": sigma},
            "lpips": {"backbone": str(backbone) if backbone else None},
        }
        chosen = metric or _possible(reference is not None, settings)
        regions = ["volume", "mask"] if mask else ["volume"]
        options = Options(chosen, regions, settings, empty_slices, str(devices.pick(1)))
        table = evaluate_files(image, reference, mask, options, workers=workers)
        if csv:
            write_text(csv, table.to_csv(index=False, lineterminator="\n"))
        typer.echo(_printed(table))


def _possible(reference: bool, settings: dict) -> list[str]:
    """Return the metrics that are computed if none are named, and report those left out."""
    chosen = []
    for name in metric_modules.names():
        about = metric_modules.metadata(name)
        if about.reference and not reference:
            continue
        lacking = getattr(metric_modules.module(name), "lacking", None)
        reason = lacking(**metric_modules.parameters(name, settings.get(name))) if lacking else None
        if reason:
            typer.echo(f"{about.label} is left out: {reason}", err=True)
        else:
            chosen.append(name)
    return chosen


def _printed(table: "pd.DataFrame") -> str:
    """Return metrics as aligned columns."""
    rows = [("metric", "region", "value", "better")]
    for name, region, value in table.itertuples(index=False):
        about = metric_modules.metadata(name)
        unit = f" {about.unit}" if about.unit else ""
        rows.append((about.label, region, f"{value:.{about.digits}f}{unit}", about.better))
    return columns(rows, words=True)


if __name__ == "__main__":
    app()
