"""Rules that every method, dataset and metric must keep, in this package or in a user's folder.

`method`, `dataset` and `metric` return the checks of one of them. Each check is a function without
arguments that raises `ContractError`; as text it is a sentence. A user's test can take the checks
like this, as the files of `mrisr new` do:

    @pytest.mark.parametrize("check", contract.method("my_cnn", [PLUGIN]), ids=str)
    def test_keeps_the_contract(check):
        check()

`run` is the command `mrisr check`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mrisr import metrics as metric_modules
from mrisr.common.errors import ConfigError, MrisrError
from mrisr.common.progress import collected
from mrisr.common.schema import nearest
from mrisr.data import datasets as dataset_files
from mrisr.methods import method as method_folders


@dataclass(frozen=True)
class Check:
    """One clause of the contract.

    Attributes:
        what: The clause as a sentence without a subject.
        function: Raises `mrisr.common.errors.ContractError`, or another error, if it is not kept.
    """

    what: str
    function: Callable[[], None]

    def __str__(self) -> str:
        return self.what

    def __call__(self) -> None:
        """Check; raise an error that says which clause is broken."""
        self.function()


def method(name: str, plugins: Sequence[str | Path] = ()) -> list[Check]:
    """Return the checks of a method; raises ConfigError if it cannot be loaded.

    Args:
        name: Name of the method's folder.
        plugins: Further folders with `methods/<name>/`.
    """
    from mrisr.contract import externals, methods, networks

    found = method_folders.get(name, search=plugins)
    clauses = dict(methods.CLAUSES)
    if found.kind == "external":
        clauses |= externals.CLAUSES
    else:
        clauses |= methods.IN_PYTHON
        if found.learned:
            clauses |= networks.LEARNED
        if found.kind == "supervised":
            clauses |= networks.TILED
        if found.spec.get("network") == "query":
            clauses |= networks.QUERIED
    return [Check(what, partial(function, name, plugins)) for what, function in clauses.items()]


def metric(name: str, plugins: Sequence[str | Path] = ()) -> list[Check]:
    """Return the checks of a metric; raises ConfigError if it cannot be loaded.

    Args:
        name: Name of the metric's module.
        plugins: Further folders with `metrics/<name>.py`.
    """
    from mrisr.contract import metrics

    metric_modules.use(plugins)
    clauses = metrics.clauses(name)
    return [Check(what, partial(_with, plugins, function, name)) for what, function in clauses]


def _with(plugins: Sequence[str | Path], function: Callable[[str], None], name: str) -> None:
    metric_modules.use(plugins)
    function(name)


def dataset(name: str, plugins: Sequence[str | Path] = ()) -> list[Check]:
    """Return the checks of a dataset; they open no scan, unlike `mrisr data check`.

    Args:
        name: Name of the dataset's file.
        plugins: Further folders with `datasets/<name>.yaml`.
    """
    from mrisr.contract import datasets

    clauses = datasets.CLAUSES.items()
    return [Check(what, partial(function, name, plugins)) for what, function in clauses]


def found_in(plugin: str | Path) -> Iterator[tuple[str, str, Callable[[], list[Check]]]]:
    """Yield the content of a plugin folder: kind, name, and a function that returns the checks.

    Raises:
        ConfigError: A name is taken twice or cannot be used.
    """
    root = Path(plugin).resolve()
    for name, folder in sorted(method_folders.folders([plugin]).items()):
        if folder.resolve().is_relative_to(root):
            yield "method", name, partial(method, name, [plugin])
    for name in dataset_files.names([plugin]):
        if (root / "datasets" / f"{name}.yaml").exists():
            yield "dataset", name, partial(dataset, name, [plugin])
    metric_modules.use([plugin])
    for name in metric_modules.names():
        if metric_modules.source(name).is_relative_to(root):
            yield "metric", name, partial(metric, name, [plugin])


def run(plugin: str | Path, only: Sequence[str], say: Callable[[str], None]) -> bool:
    """Check the content of a plugin folder, and say which clauses hold and which do not.

    Args:
        plugin: The folder.
        only: Names to check; default all.
        say: Called with a line of text.

    Returns:
        Whether the contract is kept.

    Raises:
        ConfigError: The folder is empty, or has no part of such a name.
    """
    everything = list(found_in(plugin))
    known = [name for _, name, _ in everything]
    if not known:
        raise ConfigError(
            f"{plugin}: holds no methods/<name>/method.yaml, datasets/<name>.yaml or"
            " metrics/<name>.py; give the folder that holds those folders"
        )
    for name in only:
        if name not in known:
            raise ConfigError(f"--only {name}: {plugin} holds none: {nearest(name, known)}")
    broken = 0
    for kind, name, checks in everything:
        if only and name not in only:
            continue
        say(f"{kind} {name}")
        try:
            clauses = checks()
        except MrisrError as error:
            clauses = [Check("can be loaded", partial(_raise, error))]
        for check in clauses:
            try:
                with collected():
                    check()
            except Exception as error:  # also errors that a method itself did not expect
                broken += 1
                told = str(error) if isinstance(error, MrisrError) else repr(error)
                say(f"  NOT KEPT  {check}\n            {told}")
            else:
                say(f"  kept      {check}")
    say("The contract is kept." if not broken else f"{broken} not kept.")
    return not broken


def _raise(error: Exception) -> None:
    raise error
