"""New methods, datasets and metrics: working files to start from, from `workflow/templates`."""

import keyword
import re
from collections.abc import Mapping
from pathlib import Path

import jinja2

from mrisr import metrics
from mrisr.common.errors import ConfigError
from mrisr.common.files import write_text
from mrisr.common.paths import WORKFLOW
from mrisr.common.schema import nearest
from mrisr.data import datasets
from mrisr.methods import method as methods

TEMPLATES = WORKFLOW / "templates"
#: Kinds of methods, and the template of each.
KINDS = {
    "supervised": "a small residual CNN",
    "interpolation": "linear interpolation along each axis",
    "optimised": "total variation, optimised for each subject",
    "external": "a program that is not Python, by a rule",
}


def method(name: str, kind: str, plugin: str | Path) -> list[Path]:
    """Write a working method to `<plugin>/methods/<name>/`.

    Args:
        name: Name of the folder, in paths and configs.
        kind: One of `KINDS`.
        plugin: The user's folder, which a study names under `plugins`.

    Returns:
        The files.

    Raises:
        ConfigError: The name is unusable or taken, or there is no such kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"--kind {kind}: no such kind: {nearest(kind, KINDS)}")
    _check_name(name, "method", methods.folders([plugin]))
    folder = Path(plugin) / "methods" / name
    templates = {found.stem: found for place in ("", kind) for found in _in(f"method/{place}")}
    templates[f"test_{name}.py"] = templates.pop("test.py")
    content = {folder / file: template for file, template in templates.items()}
    return _write(folder, content, {"name": name, "label": label(name)})


def metric(name: str, plugin: str | Path) -> list[Path]:
    """Write a working metric to `<plugin>/metrics/<name>.py`, and its test beside it.

    Raises:
        ConfigError: The name is unusable or taken.
    """
    metrics.use([plugin])
    _check_name(name, "metric", {known: metrics.source(known) for known in metrics.names()})
    if hasattr(metrics, name) or name.startswith("test_"):
        raise ConfigError(f"metric '{name}': the name has another meaning; choose another one")
    file = Path(plugin) / "metrics" / f"{name}.py"
    content = {
        file: TEMPLATES / "metric" / "metric.py.j2",
        file.with_name(f"test_{name}.py"): TEMPLATES / "metric" / "test.py.j2",
    }
    return _write(file, content, {"name": name, "label": label(name)})


def dataset(
    name: str, plugin: str | Path, about: Mapping[str, str | bool], replace: bool = False
) -> Path:
    """Write a dataset to `<plugin>/datasets/<name>.yaml`.

    Args:
        name: Name of the file, in paths and configs.
        plugin: The user's folder, which a study names under `plugins`.
        about: Values for the template, see `mrisr.scaffold.look.look`.
        replace: Replace the dataset of that name in the folder.

    Raises:
        ConfigError: The name is unusable or taken.
    """
    check_dataset_name(name, plugin, replace)
    file = dataset_file(name, plugin)
    content = {file: TEMPLATES / "dataset" / "dataset.yaml.j2"}
    return _write(file, content, {"label": label(name), **about}, replace)[0]


def study(file: str | Path, about: Mapping[str, object]) -> Path:
    """Write a config on top of another one.

    Args:
        file: File to write; its name is the study's.
        about: base, datasets (entries by name, None for those that are left out), and plugins.

    Raises:
        ConfigError: The file exists, or its name is unusable.
    """
    file = Path(file)
    if not re.fullmatch(r"[a-z0-9_]+", file.stem):
        raise ConfigError(f"study '{file.stem}': cannot be used in paths; take a-z, 0-9 and _")
    template = {file: TEMPLATES / "study" / "study.yaml.j2"}
    return _write(file, template, {"name": file.stem, "file": file, **about})[0]


def dataset_file(name: str, plugin: str | Path) -> Path:
    """Return the path of a dataset in a user's folder."""
    return Path(plugin) / "datasets" / f"{name}.yaml"


def check_dataset_name(name: str, plugin: str | Path, replace: bool = False) -> None:
    """Refuse an unusable or taken name of a dataset; raises ConfigError."""
    taken = dict.fromkeys(datasets.names([plugin]), "a datasets folder")
    file = dataset_file(name, plugin)
    if file.exists():
        taken[name] = f"{file} (--force replaces it)"
        if replace:
            del taken[name]
    _check_name(name, "dataset", taken)


def label(name: str) -> str:
    """Return the label of a name in tables, until the user writes a better one."""
    return name.replace("_", " ").strip().capitalize()


def _in(place: str) -> list[Path]:
    """Return the templates of a folder; those of a kind replace those of all kinds."""
    return sorted((TEMPLATES / place).glob("*.j2"))


def _check_name(name: str, what: str, taken: Mapping[str, object]) -> None:
    """Refuse a name.

    Raises:
        ConfigError: The name is unusable in paths and code, or is taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(
            f"{what} '{name}': cannot be used in paths and code; take a-z, 0-9 and _, a letter"
            " first, e.g. 'my_cnn'"
        )
    if name in taken:
        raise ConfigError(f"{what} '{name}': is there already, in {taken[name]}; choose another")


def _write(
    place: Path,
    content: Mapping[Path, Path],
    variables: Mapping[str, object],
    replace: bool = False,
) -> list[Path]:
    """Render all templates, then write them; existing files are replaced only if asked.

    Raises:
        ConfigError: `place` exists.
    """
    for path in (place, *content):
        if path.exists() and not replace:
            raise ConfigError(f"{path}: is there already, and stays; choose another name")
    environment = jinja2.Environment(
        variable_start_string="<%",  # braces have a meaning in the files that are written
        variable_end_string="%>",
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    rendered = {
        file: environment.from_string(template.read_text(encoding="utf-8")).render(variables)
        for file, template in content.items()
    }
    for file, text in rendered.items():
        write_text(file, text)
    return sorted(rendered)
