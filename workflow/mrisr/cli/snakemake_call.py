"""Calls of Snakemake by commands of mrisr: its quiet habits, and words that it understands."""

import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from mrisr.common import cores
from mrisr.common.paths import SNAKEFILE

# Options that tell Snakemake how many cores or jobs there are.
COUNTED = ("--cores", "-c", "--jobs", "-j", "--profile", "--executor", "-e")
DRY_RUN = ("-n", "--dry-run", "--dryrun")


def command(config: Path, options: Sequence[str], dry_run: bool) -> list[str]:
    """Return the call that makes a study, with few words and on all cores that are ours.

    Args:
        config: The study's config.
        options: Further words for Snakemake, targets before options.
        dry_run: Only say what would run.
    """
    # Targets go first: an option before them would take them for its own values.
    targets = list(takewhile(lambda word: not word.startswith("-"), options))
    return [
        *(sys.executable, "-m", "snakemake", *targets, "--snakefile", str(SNAKEFILE)),
        *("--configfile", str(config)),
        "--quiet",
        *(["rules", "host", "reason", "--dry-run"] if dry_run else ["host", "reason"]),
        *([] if named(options, COUNTED) else ["--cores", str(cores.available())]),
        *options[len(targets) :],
    ]


def named(options: Sequence[str], known: tuple[str, ...]) -> bool:
    """Say whether one of the words begins like a known option."""
    return any(word.startswith(known) for word in options)


def check_installed() -> None:
    """Refuse to go on without Snakemake; raises ConfigError."""
    import importlib.util

    from mrisr.common.errors import ConfigError

    if importlib.util.find_spec("snakemake") is None:
        raise ConfigError("snakemake is not installed beside mrisr; pip install snakemake")
