"""A folder to work in, without a checkout: a config on top of one that comes with mrisr."""

import re
from pathlib import Path

from mrisr.common.errors import ConfigError
from mrisr.common.files import write_text
from mrisr.common.paths import ROOT

HEAD = """\
# What differs from the study {base}; all of it: mrisr config show --configfile {file}
# `mrisr new dataset NAME --from FOLDER` writes a dataset of your scans, `mrisr new study NAME` a
# config of it; `mrisr plan --configfile {file}` says what it takes.
base: {base}
study: {name}
# scales: [2, 4]
# report: {{viewer: {{megabytes: 20}}}}  # the demo's page is kept small
"""
SLURM_HEAD = "# `mrisr run -- --profile slurm` runs the study on a Slurm cluster.\n"


def make(folder: str | Path, name: str, base: str) -> list[Path]:
    """Write `config/<name>.yaml` and `slurm/` to a folder, which is made if it is not there.

    Args:
        folder: The working folder.
        name: Name of the study, a-z, 0-9 and _.
        base: Name of the config that it starts from.

    Returns:
        The files.

    Raises:
        ConfigError: A file is there already.
    """
    folder, file = Path(folder), f"config/{name}.yaml"
    profile, partitions = (
        (ROOT / "slurm" / part).read_text(encoding="utf-8")
        for part in ("config.yaml", "partitions.yaml")
    )
    profile = re.sub(r"\A(?:#.*\n)+", SLURM_HEAD, profile)
    content = {
        folder / file: HEAD.format(base=base, name=name, file=file),
        folder / "slurm/config.yaml": re.sub(
            r"(?m)^configfile: .*$", f"configfile: {file}", profile
        ),
        folder / "slurm/partitions.yaml": partitions,
    }
    for path in content:
        if path.exists():
            raise ConfigError(f"{path}: is there already, and stays; name another folder")
    for path, text in content.items():
        write_text(path, text)
    return list(content)
