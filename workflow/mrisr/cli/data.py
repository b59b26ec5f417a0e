"""The commands `mrisr data`, for datasets before a study."""

from pathlib import Path
from typing import Annotated

import typer

from mrisr.cli.found import Plugins, each_once, plugin_folders
from mrisr.common import cores
from mrisr.common.progress import job

app = typer.Typer(no_args_is_help=True, help="Datasets: what is there, and how it is split.")


@app.callback()
def main() -> None:
    """Hold the commands together: typer would drop the name of a single one."""


NAME = typer.Argument(help="Dataset; `mrisr data list` names them.")
DOWNLOADS = typer.Option(help="Folder for downloads, `downloads` of the study's config.")
FOLDER = typer.Option(help="Your copy on disk, used in place of the download.")


@app.command("list")
def list_(
    plugins: Plugins = None,
    downloads: Annotated[Path, DOWNLOADS] = Path("resources"),
) -> None:
    """Name every dataset: its subjects, scans, licence, source, and what of it is on disk."""
    with job(None):
        from mrisr.data import catalogue

        typer.echo(catalogue.listing(plugin_folders(plugins), downloads))


@app.command()
def describe(
    name: Annotated[str, NAME],
    folder: Annotated[Path | None, FOLDER] = None,
    plugins: Plugins = None,
    downloads: Annotated[Path, DOWNLOADS] = Path("resources"),
) -> None:
    """Say all that is known about a dataset: terms, citation, source, split, place on disk."""
    with job(None):
        from mrisr.data import catalogue, datasets

        dataset = datasets.load(name, {"folder": folder}, plugin_folders(plugins), downloads)
        typer.echo(catalogue.description(dataset, downloads))


@app.command()
def check(
    name: Annotated[str, NAME],
    folder: Annotated[Path | None, FOLDER] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="train, val or test; may be repeated.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read the voxels too, not only the headers.")
    ] = False,
    configfile: Annotated[
        Path | None,
        typer.Option(help="Check what this study uses.", exists=True, dir_okay=False),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Also write a CSV with a row for each subject.")
    ] = None,
    plugins: Plugins = None,
    downloads: Annotated[Path, DOWNLOADS] = Path("resources"),
    workers: Annotated[int, typer.Option(min=1, help="Processes for --full.")] = cores.available(),
) -> None:
    """Report every problem of a dataset's scans at once; nothing is downloaded.

    With --configfile, files that the study's results were made of are compared by their SHA-256:
    one that was replaced since is a problem until the study has run again. Ends with exit code 1
    if there is any problem. Warnings are no problems.
    """
    with job(None):
        from mrisr.prepare import survey

        dataset, splits, min_sizes, downloads, changed = _selection(
            name, folder, split, configfile, plugin_folders(plugins), downloads
        )
        found = survey.survey(dataset, splits, downloads, full, min_sizes, workers)
        if csv:
            survey.write_csv(found, csv)
        typer.echo(survey.text(found))
        for line in changed:
            typer.echo(line)
    if found.chosen("problem") or changed:
        raise typer.Exit(1)


def _selection(
    name: str,
    folder: Path | None,
    splits: list[str] | None,
    configfile: Path | None,
    plugins: list[Path],
    downloads: Path,
) -> tuple:
    """Return what `check` looks at.

    The dataset, its splits, their least sizes, the download folder, and a line for each file that
    was replaced since the study ran.
    """
    from mrisr.common.errors import ConfigError
    from mrisr.common.layout import SPLITS
    from mrisr.common.schema import nearest
    from mrisr.data import datasets
    from mrisr.study.load import load_study
    from mrisr.study.replaced import replaced

    study, overrides, used, min_sizes = None, {}, list(SPLITS), {}
    if configfile:
        study = load_study(configfile)
        if name not in study.datasets:
            hint = nearest(name, study.datasets)
            raise ConfigError(f"{configfile}: has no dataset '{name}': {hint}")
        overrides, used = study.dataset_overrides(name), study.splits(name)
        min_sizes = {split_name: study.min_size(split_name) for split_name in used}
        plugins = each_once([*study.plugins, *plugins])
        downloads = Path(study.config["downloads"])
    if folder:
        overrides = {**overrides, "folder": folder}
    for split_name in splits or []:
        if split_name not in SPLITS:
            raise ConfigError(f"--split {split_name}: no such split: {nearest(split_name, SPLITS)}")
    dataset = datasets.load(name, overrides, plugins, downloads)
    chosen = [s for s in SPLITS if s in (splits or used)]
    changed = replaced(study, name, chosen) if study else []
    return dataset, chosen, min_sizes, downloads, changed


@app.command()
def split(
    name: Annotated[str, typer.Argument(help="Dataset, e.g. hcp1200.")],
    downloads: Annotated[Path, DOWNLOADS] = Path("resources"),
    plugins: Plugins = None,
    folder: Annotated[
        Path | None, typer.Option(help="List this copy on disk, instead of the source.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the split that is there.")
    ] = False,
) -> None:
    """List the subjects of a dataset and draw its train, val and test subjects.

    For datasets whose subjects may not be published. The same listing gives every lab the same
    split, which is written to DOWNLOADS/NAME/split.tsv.
    """
    with job(None):
        from mrisr.data import datasets
        from mrisr.data import draw_split as listing

        overrides = {"folder": folder} if folder else {}
        listing.split(
            datasets.load(name, overrides, plugin_folders(plugins), downloads), downloads, replace
        )
