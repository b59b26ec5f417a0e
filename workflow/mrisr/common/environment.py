"""Environment in which the processes of a workflow find this package."""

import os

from mrisr.common.paths import WORKFLOW


def export_package() -> None:
    """Let child processes import this checkout, whether it is installed or not."""
    package = str(WORKFLOW)
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([package, *filter(None, others)]))
