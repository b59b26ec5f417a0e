"""The commands `mrisr data`: what a user does with datasets before a study."""

from pathlib import Path
from typing import Annotated

import typer

from mrisr.progress import job

app = typer.Typer(no_args_is_help=True, help="Datasets: what is there, and how it is split.")


@app.callback()
def main() -> None:
    """Hold the commands together: typer would drop the name of a single one."""


@app.command()
def split(
    name: Annotated[str, typer.Argument(help="Dataset, e.g. hcp1200.")],
    downloads: Annotated[
        Path, typer.Option(help="Folder for downloads, `downloads` of the study's config.")
    ] = Path("resources"),
    plugins: Annotated[
        list[Path] | None, typer.Option(help="Folder with datasets of yours; may be repeated.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="List this copy on disk, not the source.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace another split that is there.")
    ] = False,
) -> None:
    """List the subjects of a dataset and draw its train, val and test subjects.

    For datasets whose subjects may not be published. The same listing gives every lab the same
    split, which is written to DOWNLOADS/NAME/split.tsv.
    """
    with job(None):
        from mrisr import datasets, listing

        overrides = {"folder": folder} if folder else {}
        listing.split(datasets.load(name, overrides, plugins or (), downloads), downloads, replace)
