"""Environment in which the processes of a workflow find this package."""

import os

from mrisr.common.paths import PACKAGE


def export_package() -> None:
    """Let child processes import this package, whether it is installed for them or not."""
    package = str(PACKAGE.parent)
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([package, *filter(None, others)]))
