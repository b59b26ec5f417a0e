"""The commands `mrisr readers`: blinded pairs for readers, their server, the answers."""

import ipaddress
import secrets
from pathlib import Path
from typing import Annotated

import typer

from mrisr.common.progress import job
from mrisr.common.text import columns

app = typer.Typer(no_args_is_help=True, help="Reader studies: two methods compared side by side.")
FOLDER = typer.Argument(help="Folder of the reader study, as `mrisr readers make -o` wrote it.")
URL = typer.Option(help="Address at which readers reach the server.")
PORT = 8642


@app.callback()
def main() -> None:
    """Hold the commands together: typer would drop the name of a single one."""


@app.command()
def make(
    results: Annotated[Path, typer.Argument(help="Results of a study, results/<study>.")],
    methods: Annotated[
        tuple[str, str], typer.Option("--methods", "-m", help="The two methods to compare.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the study.")],
    scale: Annotated[float | None, typer.Option(help="Needed if the study has several.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Needed if the study has several.")] = None,
    pairs: Annotated[
        int | None, typer.Option(min=1, help="How many pairs to draw; default: all.")
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=0, help="Pairs that come twice, for agreement within a reader.")
    ] = 0,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, help="Seed that makes the same study again; keep it as secret as the key."
        ),
    ] = None,
    readers: Annotated[
        str, typer.Option(help='How many, or their names: "R1,R2". More by `mrisr readers reader`.')
    ] = "",
    key: Annotated[
        Path | None,
        typer.Option(help="File that says which image is which; default <folder>_key.csv."),
    ] = None,
    url: Annotated[str, URL] = f"http://127.0.0.1:{PORT}",
) -> None:
    """Draw blinded pairs from the results of two methods, and print a link for each reader.

    Of 2-D studies the ground truth itself, super-resolved, if that is there (target
    `reader_study`); else the reconstructions.
    """
    names = _names(readers)
    with job(None):
        from mrisr.readers import pairs as making
        from mrisr.readers.folder import ReaderStudy
        from mrisr.readers.found import found_items
        from mrisr.readers.key import default_path
        from mrisr.readers.store import Store

        chosen = secrets.randbits(63) if seed is None else seed
        key = key or default_path(output)
        items = found_items(results, methods, scale, dataset)
        making.make(items, output, key, count=pairs, repeats=repeats, seed=chosen)
        study = ReaderStudy.load(output)
        typer.echo(f"{len(study.cases)} cases in {output}; which is which is in {key}.")
        if names:
            with Store(study, create=True) as store:
                _print({name: store.add_reader(name, seed=chosen) for name in names}, url)


@app.command()
def reader(
    folder: Annotated[Path, FOLDER],
    name: Annotated[str, typer.Argument(help="A new reader, or one who needs a new link.")],
    cases: Annotated[
        int | None,
        typer.Option(min=1, help="How many cases this reader sees, drawn; default: all."),
    ] = None,
    url: Annotated[str, URL] = f"http://127.0.0.1:{PORT}",
) -> None:
    """Add a reader, or give a known one a new link; the one before is no longer valid."""
    with job(None):
        from mrisr.readers.folder import ReaderStudy
        from mrisr.readers.store import Store

        with Store(ReaderStudy.load(folder), create=True) as store:
            _print({name: store.add_reader(name, cases)}, url)


@app.command()
def serve(
    folder: Annotated[Path, FOLDER],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = PORT,
    root_path: Annotated[
        str, typer.Option(help="Path under which a proxy shows the server, e.g. /study.")
    ] = "",
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy", help="Readers reach a proxy on this machine, which does TLS."
        ),
    ] = False,
) -> None:
    """Show the study to its readers until Ctrl-C; answers are on the disk when the page says so."""
    with job(None):
        from mrisr.readers.folder import ReaderStudy
        from mrisr.readers.server import serve as run
        from mrisr.readers.store import Store

        if not behind_proxy and not _loopback(host):
            typer.echo(
                f"Warning: {host} is reached from other machines, without TLS: whoever can listen"
                " to the network learns the links of readers. Put a proxy with TLS before it and"
                " say --behind-proxy, see docs/reader-study.md.",
                err=True,
            )
        store = Store(ReaderStudy.load(folder))
        prefix = f"/{root_path.strip('/')}" if root_path.strip("/") else ""
        shown = f"[{host}]" if ":" in host else host
        run(
            store,
            host,
            port,
            root_path=root_path,
            behind_proxy=behind_proxy,
            started=lambda port: typer.echo(
                f"Links begin with http://{shown}:{port}{prefix}/r/; Ctrl-C ends."
            ),
        )


@app.command()
def status(folder: Annotated[Path, FOLDER]) -> None:
    """Say how far each reader is; the server may run meanwhile."""
    with job(None):
        from mrisr.readers.folder import ReaderStudy
        from mrisr.readers.store import Store

        with Store(ReaderStudy.load(folder)) as store:
            rows = [("reader", "answered", "changed", "minutes", "last answer (UTC)")]
            for reader in store.readers():
                history, latest = store.history(reader), store.latest(reader)
                rows.append(
                    (
                        reader.name,
                        f"{len(latest)} of {len(store.cases(reader))}",
                        str(len(history) - len(latest)),
                        f"{sum(answer.seconds for answer in history) / 60:.1f}",
                        history[-1].answered_at[:19].replace("T", " ") if history else "never",
                    )
                )
        typer.echo(columns(rows, words=True))


@app.command()
def export(
    folder: Annotated[Path, FOLDER],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="CSV with a row for each question.")
    ],
    key: Annotated[
        Path | None,
        typer.Option(help="File that says which image is which; default <folder>_key.csv"),
    ] = None,
    blinded: Annotated[
        bool, typer.Option("--blinded", help="Leave out which image is which.")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Also answers that a reader changed later.")
    ] = False,
) -> None:
    """Write the answers as CSV; the server may run meanwhile."""
    if blinded and key:
        raise typer.BadParameter("give --key or --blinded")
    with job(None):
        from mrisr.readers import export as exporting
        from mrisr.readers.folder import ReaderStudy
        from mrisr.readers.key import default_path, read_key
        from mrisr.readers.store import Store

        known = None if blinded else read_key(key or default_path(folder))
        with Store(ReaderStudy.load(folder)) as store:
            count = exporting.export(store, output, known, history)
        typer.echo(f"{count} answers in {output}.")


@app.command()
def table(
    answers: Annotated[
        Path,
        typer.Argument(
            help="The CSV that `mrisr readers export` wrote.", exists=True, dir_okay=False
        ),
    ],
    methods: Annotated[
        tuple[str, str],
        typer.Option("--methods", "-m", help="The two methods; scores are those of the first."),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Files to write, without .csv, .md, .tex and .html."),
    ],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the intervals.")] = 0,
) -> None:
    """Make the table of a study that no config names (`reader_study.answers` does it for one)."""
    with job(None):
        from mrisr.tables.from_files import readers

        made = readers(answers, methods=methods, labels=methods, seed=seed)
        made.write(output)
        typer.echo(made.markdown(), nl=False)


def _names(text: str) -> list[str]:
    """Return the names of readers: the given ones, or R1, R2, ..."""
    if text.strip().isdecimal():
        return [f"R{number}" for number in range(1, int(text) + 1)]
    names = [name.strip() for name in text.split(",") if name.strip()]
    if len(set(names)) < len(names):
        raise typer.BadParameter(f"--readers {text}: a name is there twice")
    return names


def _print(tokens: dict[str, str], url: str) -> None:
    """Print links, which are stored nowhere else."""
    typer.echo("Whoever has a link is that reader. Links are shown once:")
    links = [(name, f"{url.rstrip('/')}/r/{token}/") for name, token in tokens.items()]
    typer.echo(columns(links, words=True))


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


#: The commands under their former name: everywhere else, a study is a config.
renamed = typer.Typer(no_args_is_help=True, help="The former name of `mrisr readers`.")
renamed.registered_commands = app.registered_commands


@renamed.callback()
def say_so() -> None:
    """Tell who types the former name."""
    typer.echo("`mrisr study` is called `mrisr readers` now; both work.", err=True)
