"""Datasets whose subjects are listed by each user: what runs before, and what is published."""

import pytest
import yaml

from mrisr.data import datasets, draw_split
from tiny_study import jobs

pytestmark = pytest.mark.workflow


def test_placeholders_are_for_a_dry_run_and_splits_are_published(tiny_study):
    study = tiny_study()
    file = study.plugins / "datasets" / "tiny.yaml"
    spec = yaml.safe_load(file.read_text()) | {
        "licence": "CC0",
        "citation": "Tiny 2026",
        "source": {
            "kind": "https",
            "url": "https://example.org/{subject}",
            "pattern": "{subject}/anat/{subject}_T1w.nii.gz",
        },
        "split": {"kind": "listed", "counts": {"train": 2, "val": 1, "test": 2}, "seed": 1},
    }
    file.write_text(yaml.safe_dump(spec))
    study.config["datasets"] = {"tiny": {"folder": str(study.bids)}}

    code, output = study.run("-n")
    assert jobs(output)["prepare_tiny_test"] == 1
    assert output.count("its subjects are not listed yet") == 1
    code, output = study.run("dataset_terms", check=False)
    assert code == 1 and f"run: mrisr data split tiny --plugins {study.plugins}" in output
    assert not study.results.exists()

    downloads = study.folder / "resources"
    dataset = datasets.load("tiny", {"folder": study.bids}, [study.plugins], downloads)
    draw_split.split(dataset, downloads)
    study.run("dataset_terms")
    split = (study.results / "splits" / "tiny.tsv").read_text()
    assert split.startswith("subject\tsplit\n") and split.count("\ttest\n") == 2
    assert "train" not in split  # nothing is learned in this study
    licences = (study.results / "licences.md").read_text()
    for line in ("## Tiny", "Subjects used: 2 test", "Licence: CC0", "Cite: Tiny 2026"):
        assert line in licences
