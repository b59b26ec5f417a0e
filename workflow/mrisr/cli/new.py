"""The commands `mrisr new` and `mrisr check`: a method, dataset or metric of one's own."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrisr.cli.found import Plugins, each_once, plugin_folders
from mrisr.common.paths import SNAKEFILE
from mrisr.common.progress import job

if TYPE_CHECKING:
    from mrisr.data.datasets import Dataset

app = typer.Typer(
    no_args_is_help=True, help="A method, dataset, metric or study of your own, that works at once."
)
Folder = Annotated[
    Path,
    typer.Option(
        help="Your folder for it; a study names the folder under `plugins`.", file_okay=False
    ),
]
SHOWN = 8  # number of subjects that are named
NAME = typer.Argument(help="The name in paths and configs: a-z, 0-9 and _.")


@app.command()
def method(
    name: Annotated[str, NAME],
    kind: Annotated[
        str, typer.Option(help="supervised, interpolation, optimised or external (any program).")
    ] = "supervised",
    folder: Folder = Path("mine"),
) -> None:
    """Write FOLDER/methods/NAME: a small method of a kind, which runs in the demo at once."""
    with job(None):
        from mrisr.scaffold import write

        files = write.method(name, kind, folder)
        typer.echo(f"{name}: {write.KINDS[kind]}, to start from")
        _tell(files, _in_demo(name, folder, "methods", f"{{{name}}}"))


@app.command()
def metric(name: Annotated[str, NAME], folder: Folder = Path("mine")) -> None:
    """Write FOLDER/metrics/NAME.py and its test: a small metric of volumes."""
    with job(None):
        from mrisr.scaffold import write

        files = write.metric(name, folder)
        metrics = f"[psnr, ssim, {name}]"
        _tell(files, _in_demo(name, folder, "metrics", metrics))


@app.command()
def dataset(
    name: Annotated[str, NAME],
    scans: Annotated[Path, typer.Option("--from", help="The folder that has the scans.")],
    source: Annotated[
        str | None, typer.Option(help="bids or folder; default: what the folder looks like.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(help="Pattern of the files, with {subject}; default: one that fits most."),
    ] = None,
    folder: Folder = Path("mine"),
    force: Annotated[
        bool, typer.Option("--force", help="Replace the dataset of that name in FOLDER.")
    ] = False,
) -> None:
    """Write FOLDER/datasets/NAME.yaml from a look at a folder of scans, and check them all."""
    if source not in (None, "bids", "folder"):
        raise typer.BadParameter("--source is bids or folder")
    with job(None):
        from mrisr.common.layout import SPLITS
        from mrisr.data import datasets
        from mrisr.prepare import survey
        from mrisr.scaffold import write
        from mrisr.scaffold.look import look

        write.check_dataset_name(name, folder, force)
        found = look(scans, source, pattern)
        file = write.dataset(name, folder, found.about, force)
        made = datasets.load(name, None, [folder])
        subjects = made.subjects["test"]
        more = f", ... {subjects[-1]}" if len(subjects) > SHOWN else ""
        for line in (*found.lines, f"subjects: {', '.join(subjects[:SHOWN])}{more}"):
            typer.echo(line)
        checked = survey.survey(made, SPLITS, Path("resources"))
        typer.echo("\n" + survey.text(checked) + "\n")
        plugins, place = shlex.quote(f"plugins=[{folder}]"), shlex.quote(str(folder))
        roles = shlex.quote(f"datasets={{demo: {{roles: [train, test]}}, {name}: }}")
        _tell(
            [file],
            [
                f"mrisr data describe {name} --plugins {place}",
                f"mrisr data check {name} --plugins {place} --full",
                f"{_snakemake()} -n --config {plugins} {roles}",
            ],
        )
        if checked.chosen("problem"):
            typer.echo("Scans have problems: correct them, or the file, first.")


@app.command()
def study(
    names: Annotated[
        list[str], typer.Argument(metavar="DATASET...", help="The datasets to study.")
    ],
    base: Annotated[str, typer.Option(help="The config that the study starts from.")] = "arssr",
    name: Annotated[
        str | None, typer.Option(help="Name of the study; default: that of the first dataset.")
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Write config/NAME.yaml: the study of a paper on datasets of your choice.

    Networks learn from the first that has subjects to train on, else from the base's.
    """
    with job(None):
        from mrisr.data import datasets
        from mrisr.scaffold import write
        from mrisr.study import inherit
        from mrisr.study.load import checked_written

        file = Path("config") / f"{name or names[0]}.yaml"
        above = inherit.resolved({"base": base, "study": file.stem}, str(file), ["config"])
        of_base = above.content.get("plugins", [])
        folders = each_once([*of_base, *plugin_folders(plugins)])
        found = {dataset: datasets.load(dataset, None, folders) for dataset in dict.fromkeys(names)}
        trained = [n for n, made in found.items() if _trains(made)][:1]
        entries = {
            old: {"roles": ["train"]}
            if not trained and _trains(datasets.load(old, None, folders))
            else None
            for old in above.content["datasets"]
            if old not in found
        }
        for n in found:
            entries[n] = {"roles": ["train", "test"] if n in trained else ["test"]}
            if "scales" in (above.content["datasets"].get(n) or {}):
                entries[n]["scales"] = None  # the study's
        more = [
            folder
            for folder in folders[len(each_once(of_base)) :]
            if any(made.path.is_relative_to(folder) for made in found.values())
        ]
        used = [*of_base, *more] if more else []  # a list takes the place of the base's
        config = {"base": base, "study": file.stem, "datasets": entries, "tables": None}
        config |= {"plugins": list(map(str, used))} if used else {}
        checked_written(inherit.resolved(config, str(file), ["config"]), str(file))
        write.study(file, {"base": base, "datasets": entries, "plugins": used})
        place = shlex.quote(str(file))
        _tell(
            [file],
            [
                f"mrisr config show --configfile {place}",
                f"mrisr plan --configfile {place}",
                f"{_snakemake()} -n --configfile {place}",
            ],
        )


def _trains(dataset: "Dataset") -> bool:
    """Say whether a dataset has subjects to train on and to choose weights by."""
    return dataset.has_ground_truth and all(map(dataset.subjects.get, ("train", "val")))


def check(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder with methods/, datasets/ and metrics/.", file_okay=False),
    ],
    only: Annotated[
        list[str] | None, typer.Option(help="Only this method, dataset or metric; may be repeated.")
    ] = None,
) -> None:
    """Test the methods, datasets and metrics of a folder against their contracts.

    They are asked what the tests of this package ask of its own. Exit code 1: one is not kept.
    """
    with job(None):
        from mrisr import contract

        kept = contract.run(folder, only or (), typer.echo)
    if not kept:
        raise typer.Exit(1)


def _in_demo(name: str, folder: Path, key: str, value: str) -> list[str]:
    """Return the commands that check a new part, plan the demo study with it, and run that."""
    config = [shlex.quote(f"plugins=[{folder}]"), shlex.quote(f"{key}={value}")]
    return [
        f"mrisr check {shlex.quote(str(folder))} --only {name}",
        f"{_snakemake()} -n --config {' '.join(config)}",
        f"{_snakemake()} --config {' '.join(config)}",
    ]


def _snakemake() -> str:
    """Return the command that calls Snakemake from here."""
    if Path("Snakefile").exists() and Path("Snakefile").samefile(SNAKEFILE):
        return "snakemake"
    return f"snakemake --snakefile {shlex.quote(str(SNAKEFILE))}"


def _tell(files: Sequence[Path], commands: Sequence[str]) -> None:
    for file in files:
        typer.echo(f"  {file}")
    typer.echo("Next:")
    for command in commands:
        typer.echo(f"  {command}")
