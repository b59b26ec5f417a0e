"""Commands, links and configs in the documentation, and what is wrong with them.

docs/README.md says how commands are written there. `python tests/documented.py FOLDER PAGE...`
checks those of some pages in a folder that has the workflow and what they name, and prints what
is wrong as JSON; each command runs in a fork, so that what they all import is imported once.
"""

import contextlib
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\s*\n(?P<body>.*?)^ *```\s*$", re.M | re.S)
COMMENT = re.compile(r"<!--\s*(?P<mark>long|access|skip:\s*\S.*?)\s*-->\s*$")
# In a table of subcommands `make RESULTS` is none of make's targets: those are in small letters.
INLINE = re.compile(r"(?<!`)`((?:snakemake|mrisr)(?:\s[^`]*)?|make(?: [a-z][^`]*)?)`(?!`)")
# What stands for something of the reader's own.
EXAMPLES = {
    "/data/": "data/",
    "<study>": "demo",
    "<method>": "cubic",
    "<dataset>": "demo",
    "<trained>": "x2-4",
}
# Tools of a cluster; their options are looked up in their own help, where they are installed.
SLURM = {"sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct", "srun"}
SHELL = {"cd", "mkdir", "cp", "sed", "ls", "cat"}
# Snakemake does these things in place of running jobs; there is nothing to be planned.
MODES = {"--unlock", "--list-rules", "--report", "--lint", "--version"}


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Attributes:
        page: Path of the page.
        line: Where it stands, from 1.
        text: What the reader types.
        mark: None, `long`, `access`, `skip: <reason>`, or `inline` for one in a sentence.
    """

    page: str
    line: int
    text: str
    mark: str | None = None

    @property
    def words(self) -> list[str]:
        """The words, without assignments before and redirections behind."""
        text = self.text
        for example, value in EXAMPLES.items():
            text = text.replace(example, value)
        words = shlex.split(text, comments=True)
        words = words[: next((i for i, w in enumerate(words) if w in ("|", ">", "&&", "&")), None)]
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        return [words[0].removeprefix(".venv/bin/"), *words[1:]] if words else []


def blocks(text: str) -> Iterator[tuple[int, str, str, str | None]]:
    """Yield line, language, content and mark of every fenced block."""
    for found in FENCE.finditer(text):
        before = COMMENT.search(text[: found.start()].rstrip() + " ")
        body = re.sub(f"^{found['indent']}", "", found["body"], flags=re.M)
        line = text.count("\n", 0, found.start()) + 2
        yield line, found["language"], body, before["mark"] if before else None


def commands(page: Path) -> Iterator[Command]:
    """Yield the commands of a page: those of blocks, and those in sentences."""
    text = page.read_text()
    for line, language, body, mark in blocks(text):
        if language not in ("bash", "console"):
            continue
        pending = ""
        for number, row in enumerate(body.splitlines(), line):
            pending += row.removeprefix("$ ").strip()
            if pending.endswith("\\"):
                pending = pending[:-1]
                continue
            if pending and not pending.startswith("#"):
                yield Command(str(page), number, pending, mark)
            pending = ""
    outside = FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)
    for found in INLINE.finditer(outside):
        line = outside.count("\n", 0, found.start()) + 1
        yield Command(str(page), line, " ".join(found[1].split()), "inline")


def write_examples(page: Path, folder: Path) -> None:
    """Write the files that a page shows, those whose first line is a comment with their path."""
    for _, language, body, _ in blocks(page.read_text()):
        named = re.match(r"# ([\w/.-]+\.yaml)\n", body)
        if language == "yaml" and named:
            file = folder / named[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(body.replace("/data/", f"{folder}/data/"))


def unlabelled(page: Path) -> list[str]:
    """Return blocks of commands that no test would see, as nothing says that they are commands."""
    return [
        f"{page}:{line}: commands stand in a block without ```bash"
        for line, language, body, _ in blocks(page.read_text())
        if not language and re.match(r"(\$ )?(snakemake|mrisr|make|pip|git|sbatch)\b", body)
    ]


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """Return all anchors of a page."""
    text = FENCE.sub("", page.read_text())
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.M)} | set(
        re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text)
    )


def broken_links(page: Path) -> list[str]:
    """Return what is wrong with the relative links and anchors of a page."""
    wrong = []
    text = FENCE.sub("", page.read_text())
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|srcset)=\"([^\"]+)\"", text)
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            wrong.append(f"{page}: {link}: no such file")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            wrong.append(f"{page}: {link}: no such heading")
    return wrong


class Wrong(Exception):
    """Why a command is not right."""


def check(command: Command) -> None:
    """Check a command in the working folder, which is a copy of this repository.

    Raises:
        Wrong: It names an option, target, file or program that is not there, or it fails.
    """
    if (command.mark or "").startswith("skip"):
        return
    words = command.words
    program = words[0] if words else ""
    if program == "snakemake":
        _snakemake(words[1:], command.mark)
    elif program == "mrisr":
        _mrisr(words[1:], command.mark)
    elif program == "make":
        done = subprocess.run(["make", "-n", *words[1:]], capture_output=True, text=True)
        if done.returncode:
            raise Wrong(done.stderr.strip())
    elif program == "pip":
        _pip(words[1:])
    elif program in ("python", "python3", "pytest"):
        _python(words)
    elif program == "git" or program in SLURM:
        _known_options(words)
    elif program in SHELL:
        if command.mark is None:
            done = subprocess.run(["bash", "-c", command.text], capture_output=True, text=True)
            if done.returncode:
                raise Wrong(done.stderr.strip())
    else:
        raise Wrong(
            f"nothing is known of the program {program!r}: teach tests/documented.py, or skip"
        )


def _snakemake(arguments: list[str], mark: str | None) -> None:
    from snakemake.cli import main, parse_args

    with _quiet() as said, _exits(said):
        _, given = parse_args(arguments)
    if "--profile" in arguments:
        name = arguments[arguments.index("--profile") + 1]
        if not Path(name, "config.yaml").exists():
            raise Wrong(f"no such profile: {name}")
    for file in given.configfile or []:
        if not Path(file).exists():
            raise Wrong(f"no such config: {file}")
    if mark == "inline" or MODES & set(arguments):
        return
    options = ["--configfile", *map(str, given.configfile)] if given.configfile else []
    if given.config:
        at = arguments.index("--config")
        rest = arguments[at + 1 :]
        options += ["--config", *rest[: next((i for i, w in enumerate(rest) if w[0] == "-"), None)]]
    # The plan of a whole study is made by .ci/run; this one has the same rules and a few jobs.
    targets = list(given.targets) or ["dataset_terms"]
    command = [*targets, *options, "-n", "--quiet", "all", "--cores", "1", "--nolock"]
    with _quiet() as said, _exits(said):
        main(command)


def _mrisr(arguments: list[str], mark: str | None) -> None:
    from typer.testing import CliRunner

    from mrisr.cli.main import app

    if mark is None:
        one = {"metrics": ["--workers", "1"], "sr": ["--threads", "1", "--force"]}
        arguments = [*arguments, *one.get(arguments[0], [])]
    else:  # names of commands and options are looked at before help is printed
        at = arguments.index("--") if "--" in arguments else len(arguments)
        arguments = [*arguments[:at], "--help"]
    done = CliRunner().invoke(app, arguments)
    # In a sentence the end may be left out: `mrisr sr --method` takes the word that is added.
    cut = mark == "inline" and "Missing argument" in done.output
    if done.exit_code and not cut:
        known = done.exception is None or isinstance(done.exception, SystemExit)
        problem = "" if known else "".join(traceback.format_exception(done.exception))
        raise Wrong(f"exit code {done.exit_code}: {done.output}{problem}")


def _pip(arguments: list[str]) -> None:
    from pip._internal.commands import create_command

    with _quiet() as said, _exits(said):
        given, _ = create_command(arguments[0]).parse_args(arguments[1:])
    for file in getattr(given, "requirements", []):
        if not Path(file).exists():
            raise Wrong(f"no such file: {file}")


def _python(words: list[str]) -> None:
    for word in words[1:]:
        if word.endswith(".py") and not Path(word.split("::")[0]).exists():
            raise Wrong(f"no such file: {word}")


def _known_options(words: list[str]) -> None:
    program = [words[0], *(words[1:2] if words[0] == "git" else [])]
    if shutil.which(words[0]) is None:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        # Slurm's tools print no help where no cluster is configured.
        conf.write("ClusterName=none\nSlurmctldHost=localhost\n")
        conf.flush()
        told = subprocess.run(
            [*program, "-h" if words[0] == "git" else "--help"],
            capture_output=True,
            text=True,
            env={**os.environ, "SLURM_CONF": conf.name},
        )
    known = re.sub(r"\[no-\]", "", told.stdout + told.stderr)
    if not re.search(r"^\s.*--\w", known, re.MULTILINE):  # sacct, where nothing is accounted
        return
    for word in words[1:]:
        option = word.partition("=")[0]
        if re.match(r"--\w", option) and option not in known:
            raise Wrong(f"{' '.join(program)} has no option {option}")


@contextlib.contextmanager
def _quiet() -> Iterator[Callable[[], str]]:
    """Take what a command prints, its threads and handlers of logs included."""
    with tempfile.TemporaryFile("w+") as file:
        kept = [os.dup(number) for number in (1, 2)]
        for number in (1, 2):
            os.dup2(file.fileno(), number)

        def said() -> str:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            file.seek(0)
            return file.read()

        try:
            yield said
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)


@contextlib.contextmanager
def _exits(said: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except SystemExit as end:
        if end.code not in (0, None):
            raise Wrong(said().strip()) from None
    except Exception as error:
        raise Wrong(f"{error}") from None


def verdict(command: Command) -> str | None:
    """Check a command in a fork; return what is wrong with it, or None."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        wrong = ""
        try:
            check(command)
        except Wrong as error:
            wrong = str(error) or "it fails"
        except BaseException:
            wrong = traceback.format_exc()
        with os.fdopen(write, "w") as answer:
            answer.write(wrong)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        wrong = answer.read()
    os.waitpid(child, 0)
    return wrong or None


def main(folder: str, *pages: str) -> None:
    """Print what is wrong with every command of some pages, in their order."""
    # Imported once for all forks; torch is only imported, so it has no threads to lose.
    import torch  # noqa: F401

    from mrisr.plan import tables  # noqa: F401

    pages = [str(Path(page).resolve()) for page in pages]
    os.chdir(folder)
    _snakemake([], None)  # what it imports on its way
    done: dict[tuple, str | None] = {}
    for page in pages:
        write_examples(Path(page), Path.cwd())
    for command in (command for page in pages for command in commands(Path(page))):
        key = (*command.words, command.mark)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        if key not in done:
            done[key] = verdict(command)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        said = {**asdict(command), "wrong": done[key], "cpu": round(took, 2)}
        print(json.dumps(said), file=answers, flush=True)


if __name__ == "__main__":
    # What the commands print is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    main(*sys.argv[1:])
