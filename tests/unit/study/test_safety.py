"""What files from elsewhere may say, and what the code never does with them."""

import ast

import pytest
import yaml

from mrisr.common.errors import ConfigError, InputError
from mrisr.data import datasets
from mrisr.study.load import checked
from tiny_study import LEAST, ROOT, TinyStudy

SOURCES = sorted(path for folder in ("workflow", "bench") for path in (ROOT / folder).rglob("*.py"))
#: Calls that can run what a file says, and what must stand with those that are allowed.
NEVER = {"eval", "exec", "os.system", "pickle.load", "pickle.loads", "yaml.load", "yaml.full_load",
         "yaml.unsafe_load", "joblib.load", "torch.hub.load", "pd.read_pickle"}  # fmt: skip
WITH = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}


def unsafe(text):
    """Yield the calls in Python code that may run something."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name, given = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
        safe = WITH.get(name)
        if (
            name in NEVER
            or name.endswith((".extractall", ".unpack_archive"))
            or (safe and given.get(safe[0]) != str(safe[1]))
        ):
            yield name
        elif given.get("shell", "False") != "False":
            yield f"{name} shell"


def test_no_module_runs_what_a_file_says():
    assert len(SOURCES) > 100
    found = {str(path): list(unsafe(path.read_text())) for path in SOURCES}
    assert {path: calls for path, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    "code",
    ["torch.load(f)", "torch.load(f, weights_only=False)", "tar.extractall(p)", "np.load(f)",
     "subprocess.run(c, shell=True)", "yaml.load(t, L)", "eval(t)"],
)  # fmt: skip
def test_the_search_for_unsafe_calls_finds_them(code):
    assert list(unsafe(code))


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ({"title": "see https://me:hunter2@example.org/x"}, "title"),
        ({"lpips": {"url": "https://me:hunter2@example.org/x.pth"}}, "lpips.url"),
        ({"plugins": ["s3://hunter2@bucket"]}, "plugins.0"),
    ],
)
def test_an_address_with_a_password_is_refused_without_repeating_it(place, address):
    with pytest.raises(ConfigError, match=rf"'{address}' holds a user name or password") as refused:
        checked(LEAST | place)
    assert "hunter2" not in str(refused.value) and "netrc" in str(refused.value)


def test_so_is_one_of_a_dataset(tmp_path):
    (tmp_path / "datasets").mkdir()
    source = {
        "kind": "https",
        "url": "https://me:hunter2@x.org/{subject}",
        "pattern": "{subject}.nii",
    }
    spec = {"label": "x", "skull_stripped": True, "split": "x.tsv", "source": source}
    (tmp_path / "datasets" / "x.yaml").write_text(yaml.safe_dump(spec))
    with pytest.raises(ConfigError, match=r"'source\.url' holds a user name") as refused:
        datasets.load("x", search=[tmp_path])
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"study": "demo\n"}, {"study": "../demo"}, {"study": "$(touch x)"}, {"study": "a b"},
        {"methods": {"cubic\n": {"base": "cubic"}}}, {"methods": {"../x": {"base": "cubic"}}},
        {"methods": {"{scale}": {"base": "cubic"}}}, {"methods": {"-x": {"base": "cubic"}}},
        {"datasets": {"demo\n": None}}, {"datasets": {"$(x)": None}},
    ],
)  # fmt: skip
def test_names_that_are_no_file_names_are_refused(changes):
    with pytest.raises(ConfigError):
        checked(LEAST | changes)


@pytest.mark.parametrize(
    "subject",
    ["../x", "a/b", "-x", "a b", "{scale}", "$(touch x)", "a\n", "a\tb", "ä", "'", '"', ";", ""],
)
def test_subjects_that_cannot_name_files_are_refused_wherever_they_are_listed(subject, tmp_path):
    study = TinyStudy(tmp_path)
    overrides = {"subjects": {"test": [subject]}}
    with pytest.raises(ConfigError, match="subject"):
        datasets.load("tiny", overrides, [study.plugins])
    table = study.plugins / "datasets" / "tiny.tsv"
    table.write_text(f"subject\tsplit\n{subject}\ttest\n")
    with pytest.raises(ConfigError, match=r"tiny\.tsv"):
        datasets.load("tiny", search=[study.plugins])
    if subject.strip("./") == subject and subject:  # what can be the end of a folder's name
        (study.bids / f"sub-{subject}").mkdir(parents=True, exist_ok=True)
        file = study.plugins / "datasets" / "tiny.yaml"
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"split": "test"}))
        if subject not in ("-x",) and "/" not in subject:
            with pytest.raises(InputError, match="cannot name"):
                datasets.load("tiny", search=[study.plugins])


def test_braces_in_a_path_are_refused_for_snakemake_reads_them_as_wildcards(tmp_path):
    study = TinyStudy(tmp_path / "scans of {subject}")
    with pytest.raises(InputError, match="Snakemake reads braces in a path as wildcards"):
        datasets.load("tiny", search=[study.plugins])
