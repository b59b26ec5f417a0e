"""The workflow as a module of another one, from a folder and from a repository."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from tiny_study import ROOT, jobs

pytestmark = pytest.mark.workflow
SNAKEFILE = """
configfile: "config/lab.yaml"


module mrisr:
    snakefile:
        {snakefile}
    config:
        config["sr"]
{more}

use rule * from mrisr as mrisr_*


rule summary:
    default_target: True
    input:
        quality=rules.mrisr_quality_table.output.csv,
        sr=rules.mrisr_reconstruct_cubic_tiny.output.sr,
    output:
        "summary.txt",
    shell:
        "wc -l {{input.quality}} > {{output}}"


rule volumes:
    input:
        [file.format(scale=2) for file in rules.mrisr_reconstruct_cubic_tiny.output.sr],
    output:
        "volumes.txt",
    shell:
        "ls {{input}} > {{output}}"
"""


@pytest.fixture
def lab(tiny_study):
    """Another repository: `lab(snakefile)` writes its workflow, and returns how to run it."""
    study = tiny_study()
    (study.folder / "config").mkdir()
    (study.folder / "config" / "whole.yaml").write_text(yaml.safe_dump(study.config))
    content = {"lab": "ours", "sr": {"base": "whole", "study": "tiny"}}
    (study.folder / "config" / "lab.yaml").write_text(yaml.safe_dump(content))

    def write(snakefile, more=""):
        (study.folder / "workflow").mkdir(exist_ok=True)
        text = SNAKEFILE.format(snakefile=snakefile, more=more)
        (study.folder / "workflow" / "Snakefile").write_text(text)

        def run(*arguments, **variables):
            done = subprocess.run(
                [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
                cwd=study.folder,
                capture_output=True,
                text=True,
                env={**study.environment(), **variables},
            )
            return done.returncode, done.stdout + done.stderr

        run.folder = study.folder
        return run

    return write


def test_another_workflow_uses_all_rules_with_a_config_of_its_own(lab):
    run = lab(f'"{ROOT}/Snakefile"')
    code, output = run("-n", "mrisr_tables")
    assert code == 0, output
    assert jobs(output)["mrisr_reconstruct_cubic_tiny"] == 1
    assert jobs(output)["mrisr_quality_table"] == 1
    # Its own keys and those of the command line are none of the study's.
    code, output = run("volumes", "--configfile", "config/lab.yaml", "--config", "lab=theirs")
    assert code == 0, output
    made = (run.folder / "volumes.txt").read_text().split()
    assert made == [f"results/tiny/sr/tiny/cubic/x2/sub-0{n}.nii.gz" for n in (4, 5)]


def test_what_a_module_cannot_do_is_said(lab):
    code, output = lab(f'"{ROOT}/Snakefile"', '    prefix: "deep"')("-n")
    assert code == 1 and "module mrisr: take `prefix` out" in output
    code, output = lab(f'"{ROOT}/Snakefile"')("-n", "--config", "sr={metrics: [psnr, ssin]}")
    assert code == 1 and "'ssin'" in output and "module mrisr: config" in output


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_module_is_read_from_a_repository_at_its_commit(lab, tmp_path):
    repository = tmp_path / "repository"
    for name in ("workflow", "config", "envs"):
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, repository / name, ignore=leave)
    shutil.copy(ROOT / "Snakefile", repository)
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"], ["tag", "v1"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)

    run = lab('github("lab/mrisr", path="workflow/Snakefile", tag="v1")')
    # git takes this folder for that address; nothing leaves this machine.
    code, output = run(
        "mrisr_dataset_terms",
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0=f"url.file://{repository}.insteadOf",
        GIT_CONFIG_VALUE_0="https://github.com/lab/mrisr",
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        HOME=os.environ["HOME"],
    )
    assert code == 0, output
    assert "## Tiny" in (run.folder / "results" / "tiny" / "licences.md").read_text()
    (clone,) = (run.folder / ".snakemake" / "mrisr").iterdir()
    assert clone.name == head.stdout.strip() and (clone / "workflow" / "mrisr").is_dir()
