"""The documentation: every command runs or is planned, every link leads somewhere."""

import json
import os
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from scipy import ndimage

import documented
from documented import ROOT, blocks, broken_links, unlabelled
from mrisr import metrics
from mrisr.common.errors import MrisrError
from mrisr.common.schema import validate
from mrisr.methods import method as methods
from mrisr.methods.model_files import save_model
from tiny_study import TINY, write_scan, write_skm_tea

pytestmark = pytest.mark.workflow
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("config", "results", "workflow/methods")),
]
OTHERS = [
    ROOT / "CHANGELOG.md",
    ROOT / "config/published/README.md",
    ROOT / "tests/slurm/README.md",
]

BAD = """
# A page with mistakes

`snakemake --no-such-option` and `mrisr sr --no-such-option`.

```bash
snakemake --configfile config/no_such.yaml
snakemake results/demo/tables/no_such.md --configfile config/demo.yaml
snakemake --config 'scalse=[2, 4]'
snakemake --profile no_such
mrisr sr SCAN.nii.gz --no-such-option
mrisr info NO_SUCH_MODEL
mrisr no_such
make no_such
pip install -r no_such.txt
no_such_program
git clone --no-such-option
```

<!-- skip: not on every machine -->
```bash
no_such_script
```

```bash
snakemake -n      # right
```
"""
EXPECTED = {
    "snakemake --no-such-option": "unrecognized arguments: --no-such-option",
    "mrisr sr --no-such-option": "No such option: --no-such-option",
    "snakemake --configfile config/no_such.yaml": "config/no_such.yaml",
    "snakemake results/demo/tables/no_such.md --configfile config/demo.yaml": "No rule to produce",
    "snakemake --config 'scalse=[2, 4]'": "did you mean 'scales'?",
    "snakemake --profile no_such": "no_such",
    "mrisr sr SCAN.nii.gz --no-such-option": "No such option: --no-such-option",
    "mrisr info NO_SUCH_MODEL": "NO_SUCH_MODEL",
    "mrisr no_such": "No such command 'no_such'",
    "make no_such": "No rule to make target",
    "pip install -r no_such.txt": "no such file: no_such.txt",
    "git clone --no-such-option": "git clone has no option --no-such-option",
    "no_such_program": "teach tests/documented.py",
}


def write_model(folder):
    """An untrained model, as a study writes it."""
    method = methods.get("arssr_rdn", {"model": TINY["arssr_rdn"]["model"]})
    about = {
        **{"method": "arssr_rdn", "folder": "arssr_rdn", "preset": "demo", "scales": [2, 4]},
        **method.pack("network", "coordinates", "model", "training")["spec"],
        "degradation": {"kind": "volume", "kernel": "spline", "grid": "corners", "antialias": None},
        **{"seed": 1, "dataset": "demo", "train_subjects": ["a"], "val_subjects": ["b"]},
        **{"commit": "a", "versions": {}, "device": "cpu", "parameters": 1, "steps": 1},
        **{"val_loss": 0.1, "collapsed": False, "date": "2024-05-06"},
    }
    torch.manual_seed(0)
    save_model(folder, method.build().state_dict(), [], about)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A copy of what commands name: the workflow, small scans, a model."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("workflow", "envs", "profiles", "slurm", "tests", "bench"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("config", "docs", "examples"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, folder / name)
    for file in ("Snakefile", "Makefile", "pyproject.toml", *ROOT.glob("requirements*.txt")):
        shutil.copy(ROOT / file, folder)

    data = ndimage.gaussian_filter(np.random.default_rng(0).random((42, 45, 48)), 1)
    data = (3000 * (data - data.min()) / np.ptp(data)).astype(np.float32)
    images = {"HR": data, "MASK": (data > 1500).astype(np.uint8), "SCAN": data[1::3, 1::3, 1::3]}
    for name, volume in images.items():
        edge = 3 if name == "SCAN" else 1
        affine = np.diag([edge, edge, edge, 1.0])
        affine[:3, 3] = 1 if name == "SCAN" else 0
        nib.save(nib.Nifti1Image(volume, affine), folder / f"{name}.nii.gz")
    thick = nib.Nifti1Image(data[..., 1::3], np.diag([1, 1, 3, 1.0]))
    nib.save(thick, folder / "THICK.nii.gz")
    write_model(folder / "results/demo/models/arssr_rdn/x2-4")
    (folder / "MODEL").symlink_to(folder / "results/demo/models/arssr_rdn/x2-4")
    (folder / "weights").mkdir()
    (folder / "weights/ArSSR_RDN.pkl").touch()
    for number in ("01", "02"):
        write_scan(folder / "data/ours" / f"sub-{number}/anat/sub-{number}_T1w.nii.gz", int(number))
    for row in (ROOT / "workflow/datasets/ds002748.tsv").read_text().splitlines()[1:]:
        subject = row.split("\t")[0]
        scan = folder / "data/ds002748" / subject / f"anat/{subject}_T1w.nii.gz"
        scan.parent.mkdir(parents=True)
        scan.touch()  # a dry-run looks no further
    (folder / "mine/datasets").mkdir(parents=True)
    write_skm_tea(folder / "data/skm-tea/v1-release")
    return folder


@pytest.fixture(scope="module")
def verdicts(scratch):
    """What is said of every command of every page, and of those of a page with mistakes."""
    bad = scratch / "bad.md"
    bad.write_text(BAD)
    done = subprocess.run(
        [sys.executable, documented.__file__, str(scratch), *map(str, PAGES), str(bad)],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "workflow"),
            "TORCH_HOME": str(scratch / "torch"),
            **{"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (scratch / "verdicts.jsonl").write_text(done.stdout)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_command_of_the_documentation_is_right(verdicts):
    said = [its for its in verdicts if not its["page"].endswith("bad.md")]
    assert len(said) > 50
    wrong = [f"{v['page']}:{v['line']}: {v['text']}: {v['wrong']}" for v in said if v["wrong"]]
    assert not wrong, "\n\n".join(wrong)


def test_commands_that_take_long_say_so(verdicts):
    dear = {its["text"]: its["cpu"] for its in verdicts if its["cpu"] > 15}
    assert not dear, "mark them <!-- long -->"


def test_wrong_commands_are_found(verdicts):
    said = {its["text"]: its["wrong"] for its in verdicts if its["page"].endswith("bad.md")}
    assert said.pop("snakemake -n      # right") is None
    assert said.pop("no_such_script") is None
    assert said.keys() == EXPECTED.keys()
    for text, message in EXPECTED.items():
        assert message in " ".join((said[text] or "").replace("│", " ").split()), text


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere_and_commands_are_marked(page):
    assert broken_links(page) == []
    assert unlabelled(page) == []


def test_broken_links_and_unmarked_commands_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](no.md) [b](#one) [c](#two)\n\n```\nsnakemake -n\n```\n")
    assert [line.split(": ", 1)[1] for line in broken_links(page)] == [
        "no.md: no such file",
        "#two: no such heading",
    ]
    assert len(unlabelled(page)) == 1


def test_the_index_names_every_page():
    index = (ROOT / "docs/README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert [name for name in sorted(pages) if f"]({name})" not in index] == []


def wrong_config(text):
    """What is wrong with YAML that is a dataset, a method, a config or keys of one."""
    content = yaml.safe_load(text)
    if not isinstance(content, dict):
        return None
    if "skull_stripped" in content:
        kind = "dataset"
    elif "kind" in content and "resources" in content:
        kind = "method"
    else:
        known = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
        if not content.keys() & known["properties"].keys():
            return None
        kind = "config"
        base = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
        content = {**base, **content}
    try:
        validate(content, kind, "the block", metrics.settings_schema())
    except MrisrError as error:
        return str(error)
    return None


def test_configs_in_the_documentation_keep_to_the_schemas():
    found = {
        f"{page}:{line}": wrong_config(body)
        for page in PAGES
        for line, language, body, _ in blocks(page.read_text())
        if language == "yaml"
    }
    assert len(found) > 15
    assert {where: wrong for where, wrong in found.items() if wrong} == {}
    assert "did you mean 'methods'" in wrong_config("method: {cubic: }\nscales: [2]\n")


def test_python_in_the_documentation_can_be_imported():
    rule = ("rule", "module", "configfile", "use rule")
    for page in PAGES:
        for line, language, body, _ in blocks(page.read_text()):
            if language != "python" or any(f"\n{word}" in f"\n{body}" for word in rule):
                continue
            code = compile(body, f"{page}:{line}", "exec")
            imports = [row for row in body.splitlines() if row.startswith(("from ", "import "))]
            exec("\n".join(imports), {})
            assert code


def test_the_workflow_catalogue_is_told_what_there_is():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    option, file = usage["mandatory-flags"]["flags"].split()
    assert option == "--configfile" and (ROOT / file).exists()
    assert usage["software-stack-deployment"]["conda"] and (ROOT / "envs/mrisr.yaml").exists()
    # Where the catalogue looks for the workflow and for what it shows.
    assert (ROOT / "workflow/Snakefile").exists() and (ROOT / "config/README.md").exists()
