"""Errors in a call of Snakemake that would end in a traceback, told in a sentence instead.

`profiles/default` calls it, which Snakemake reads first. Every call imports it, so it stays light.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mrisr.common.errors import ConfigError
from mrisr.common.paths import ROOT
from mrisr.common.schema import nearest, read_yaml

CONFIGS = ("--configfile", "--configfiles")
FOLDERS = ("--directory", "-d")
SUFFIXES = (".yaml", ".yml", ".json")


def check(words: Sequence[str]) -> None:
    """End Snakemake with a sentence if its configs or its folder cannot be used.

    Args:
        words: Command line of Snakemake, `sys.argv`.
    """
    problem = next(problems(words[1:]), None)
    if problem is not None:
        print(f"error: {problem}", file=sys.stderr, flush=True)
        sys.exit(1)


def problems(words: Sequence[str]) -> Iterator[str]:
    """Yield problems of the configs and the folder in the words of a call."""
    for option, values in _options(words):
        if option in CONFIGS:
            for number, value in enumerate(values):
                yield from _config_problems(Path(value), values[:number])
        elif option in FOLDERS and values:
            yield from _folder_problems(Path(values[0]))
    if not any(option in FOLDERS for option, _ in _options(words)):
        yield from _folder_problems(Path())


def _config_problems(path: Path, before: Sequence[str]) -> Iterator[str]:
    if before and path.suffix not in SUFFIXES:
        yield (
            f"--configfile takes all words that follow, and {path} is no config; put targets before"
            f" it: snakemake {path} --configfile {' '.join(before)}"
        )
    elif path.is_dir():
        yield f"--configfile {path}: is a folder; name a config in it"
    elif not path.exists():
        folder, shipped = path.parent, ROOT / "config" / path.name
        if shipped.is_file():
            hint = f"mrisr's own is {shipped}"
        elif folder.is_dir():
            known = [f"{folder / file.name}" for file in folder.glob("*.yaml")]
            hint = nearest(str(path), known) if known else f"there is no config in {folder}"
        else:
            hint = f"there is no folder {folder}"
        yield f"--configfile {path}: no such file (from {Path.cwd()}): {hint}"
    else:
        try:
            read_yaml(path)
        except ConfigError as error:
            yield str(error)
        except OSError as error:
            yield f"--configfile {path}: cannot be read ({error.strerror}); `chmod u+r` it"


def _folder_problems(folder: Path) -> Iterator[str]:
    """Yield why Snakemake cannot work in a folder; a missing folder counts if it can be made."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        yield f"--directory {folder}: {there} is no folder; name another"
    elif not os.access(there, os.W_OK | os.X_OK) or not _holds_folders(there):
        yield (
            f"{there.absolute()}: nothing can be written here, where Snakemake keeps its state and"
            " results appear; go to a folder of yours, or name one with --directory"
        )


def _holds_folders(folder: Path) -> bool:
    """Say whether a folder can be made in it; in /proc and the like, permissions do not tell."""
    state = folder / ".snakemake"
    if state.exists():
        return True
    try:
        state.mkdir()
        state.rmdir()
    except FileExistsError:  # another call made it first
        return True
    except OSError:
        return False
    return True


def _options(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield long and short options with their words: all words up to the next option."""
    option, values = "", []
    for word in [*words, "--"]:
        if word.startswith("-") and word != "-":
            yield option, values
            option, _, value = word.partition("=")
            if not word.startswith("--"):  # the value may follow at once, as in -dFOLDER
                option, value = word[:2], word[2:].removeprefix("=")
            values = [value] if value else []
            if word == "--":
                return
        else:
            values.append(word)
