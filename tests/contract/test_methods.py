"""Every method found keeps the contract; a new folder is tested without an edit here."""

import inspect

import pytest

from mrisr import contract
from mrisr.methods import method as methods
from tiny_study import ROOT

NAMES = methods.names()
CHECKS = [(name, check) for name in NAMES for check in contract.method(name)]


@pytest.mark.parametrize(("name", "check"), CHECKS, ids=str)
def test_keeps_the_contract(name, check):
    check()


# What those that are published here state beyond the contract.
NETWORKS = [its for its in map(methods.get, NAMES) if its.learned and its.kind != "external"]


@pytest.mark.parametrize("method", NETWORKS, ids=lambda method: method.name)
def test_a_network_states_its_paper_its_size_and_its_published_training(method):
    assert method.spec["paper"]["doi"]
    assert method.spec["parameters"] > 0
    assert method.spec.get("published_steps", 0) > 0 or method.per_subject


@pytest.mark.parametrize("method", NETWORKS, ids=lambda method: method.name)
def test_defaults_of_build_are_the_published_hyper_parameters(method):
    if method.folder.name != method.name:
        return  # a variant, in the code of another folder
    defaults = {
        key: list(value.default) if isinstance(value.default, tuple) else value.default
        for key, value in inspect.signature(method.module.build).parameters.items()
    }
    assert {key: defaults[key] for key in method.spec["model"]} == method.spec["model"]


def listed():
    """Return the rows of methods in the README, by name."""
    rows = {}
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if line.startswith("| `") and len(cells) == 4:
            rows |= {name.strip("` "): cells for name in cells[0].split(",")}
    return rows


@pytest.mark.parametrize("name", sorted({*NAMES, *listed()}))
def test_a_method_is_in_the_table_of_the_readme_or_has_a_readme_of_its_own(name):
    method, cells = methods.get(name), listed().get(name)
    if cells is None:
        text = (methods.folders()[name] / "README.md").read_text(encoding="utf-8")
        assert method.label in text
        assert not method.learned or f"{method.spec['parameters']:,}" in text
    elif method.learned and method.kind != "external":
        count = "one for each subject and scale" if method.per_subject else "one for each scale"
        assert cells[2] == {"per_scale": count}.get(method.models, "one for all scales")
        assert cells[3] == f"{method.spec['parameters']:,}"
