"""What Snakemake would run for configs, what each rule asks for, and what `mrisr plan` states.

`python tests/dry_runs.py FOLDER CONFIG...` dry-runs each config in FOLDER and prints a JSON line
for it; each runs in a fork, so that what they all import is imported once.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

from tiny_study import ROOT, jobs

#: What Snakemake calls threads, memory and time, and what a planned job calls them.
ASKED = {"_cores": "threads", "mem_mb": "memory_mb", "runtime": "minutes", "gpu": "gpu"}
PROBE = f"""
include: "{ROOT}/Snakefile"

import json

with open("asked.json", "w") as file:
    json.dump(
        {{
            found.name: {{k: found.resources[k].raw for k in {[*ASKED]} if k in found.resources}}
            for found in workflow.rules
        }},
        file,
    )
"""


def write_probe(folder):
    """Write a Snakefile that includes the workflow's and tells what its rules ask for.

    It has no default target: name one.
    """
    file = Path(folder) / "probe.smk"
    file.write_text(PROBE)
    return file


def told(folder, output):
    """Return what the probe's dry-run in a folder told, by rule: number of jobs, what they ask."""
    asked = json.loads((Path(folder) / "asked.json").read_text())
    counts = {rule: count for rule, count in jobs(output).items() if rule != "all"}
    return {
        rule: {"count": count, **{ASKED[k]: value for k, value in asked[rule].items()}}
        for rule, count in counts.items()
    }


def planned(study_jobs):
    """Return what `mrisr plan` states, in the form of `told`."""
    found = {}
    for group in study_jobs.jobs:
        asked = {"threads": group.threads, "minutes": group.minutes}
        asked |= {"memory_mb": group.memory_mb or None, "gpu": int(group.gpu) or None}
        stated = {k: v for k, v in asked.items() if v is not None}
        known = found.setdefault(group.rule, {"count": 0, **stated})
        assert known == {"count": known["count"], **stated}, group.rule
        known["count"] += group.count
    return found


def dry_run(config):
    """Dry-run a config in the current folder; return what its rules told."""
    from snakemake.cli import main

    arguments = ["all", "--snakefile", "probe.smk", "--configfile", config, "--cores", "1"]
    with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(errors):
        try:
            main([*arguments, "-n", "-q", "rules", "--nolock"])
        except SystemExit as end:
            if end.code:
                raise RuntimeError(errors.getvalue()) from None
    return told(".", errors.getvalue())


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    write_probe(".")
    import torch  # noqa: F401

    from mrisr.common.provenance import code_digest

    code_digest("mrisr.cli.main")  # remembers the digest of every module
    for config in sys.argv[2:]:
        child = os.fork()
        if child == 0:
            print(json.dumps(dry_run(config)), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit(f"{config}: its dry-run fails")
