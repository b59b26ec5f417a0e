# Where the package is: a folder beside this one. A module that Snakemake reads file by file from a
# repository (`github(...)`, docs/module.md) has none, so it is cloned. In a wheel these files lie
# inside the package.
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from snakemake.exceptions import WorkflowError


def cloned(repository, ref):
    """A clone of a repository at a commit, below the folder that Snakemake runs in."""
    git = ["git", "-C", str(repository), "rev-parse", "--verify", f"{ref}^{{commit}}"]
    try:
        commit = subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
        folder = Path(".snakemake", "mrisr", commit).absolute()
        if folder.exists():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = tempfile.mkdtemp(dir=folder.parent)
        for command in (
            ["clone", "--no-checkout", str(repository), part],
            ["-C", part, "checkout", commit],
        ):
            subprocess.run(["git", *command], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise WorkflowError(f"mrisr at {ref} cannot be cloned: {error.stderr.strip()}") from None
    try:
        os.rename(part, folder)
    except OSError:  # another job was first
        shutil.rmtree(part)
    return folder


def alone(package):
    """A folder below the one that Snakemake runs in whose only package is `package`.

    Jobs in an environment of their own (`--sdm conda`) import from it, and must not see the other
    packages that are installed beside a wheel.
    """
    name = hashlib.sha256(str(package).encode()).hexdigest()[:12]
    folder = Path(".snakemake", "mrisr", f"installed-{name}").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / package.name).symlink_to(package, target_is_directory=True)
    except FileExistsError:  # an earlier call, or another job
        pass
    return folder


SOURCE = workflow.current_basedir
if hasattr(SOURCE, "hosted_repo"):
    SOURCE.fetch_if_required()
    PACKAGE = cloned(SOURCE.hosted_repo.repo_clone, SOURCE.ref) / "workflow"
elif hasattr(SOURCE, "repo_path"):
    PACKAGE = cloned(SOURCE.repo_path, SOURCE.ref) / "workflow"
elif Path(SOURCE).parents[1].name == "_files":
    PACKAGE = alone(Path(SOURCE).parents[2].resolve())
else:
    PACKAGE = Path(SOURCE).parent
