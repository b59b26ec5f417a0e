"""bench/study_results.py: the page says of a study what its tables and models say."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

import study_results

CONFIG = {
    "study": "mini",
    "title": "A small study",
    "seed": 1,
    "datasets": {"demo": {"roles": ["train", "test"]}},
    "scales": [2],
    "degradation": {"kind": "volume"},
    "metrics": ["psnr"],
    "methods": {"cubic": None, "srcnn3d": None, "cubic_residual": {"weights": "shipped"}},
    "baseline": "cubic",
}
SIGNIFICANCE = """dataset,scale,metric,region,reference,method,difference,ci_low,ci_high
demo,2,psnr,volume,cubic,srcnn3d,-0.25,,
demo,2,psnr,volume,cubic,cubic_residual,1.234,1.1,1.4
demo,2,psnr,mask,cubic,cubic_residual,9,8,10
demo,2,ssim,volume,cubic,cubic_residual,0.1,0.1,0.1
"""
SEGMENTATION = """dataset,scale,method,region,metric,mean,noise_floor
demo,2,cubic,mean,dice,0.8125,0.0011
demo,2,cubic,csf,dice,0.5,0.0011
demo,2,cubic_residual,mean,dice,0.875,0.0011
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "results/mini"
    for folder in ("tables", "figures", "models/srcnn3d/x2", "models/cubic_residual/x2-4"):
        (made / folder).mkdir(parents=True)
    (made / "tables/quality.csv").write_text("dataset\n")
    (made / "tables/significance.csv").write_text(SIGNIFICANCE)
    model = {"parameters": 3649, "steps": 1200, "seconds": 246, "ended": "time budget"}
    (made / "models/srcnn3d/x2/model.json").write_text(json.dumps(model))
    shipped = {**model, "steps": 10791, "seconds": 4104, "shipped": True, "ended": None}
    (made / "models/cubic_residual/x2-4/model.json").write_text(json.dumps(shipped))
    picture = np.random.default_rng(0).integers(0, 255, (300, 2600, 3), dtype=np.uint8)
    Image.fromarray(picture).save(made / "figures/bars.png")
    (made / "figures/bars.json").write_text(json.dumps({"caption": "What it shows."}))
    file = tmp_path / "mini.yaml"
    file.write_text(yaml.safe_dump(CONFIG))
    return file


def test_a_study_becomes_a_section_with_its_numbers(config, tmp_path):
    kept = study_results.keep(config, ["bars"], "snakemake --cores 2", tmp_path / "docs")
    assert Image.open(kept / "bars.png").size == (1300, 150)
    text = "\n".join(study_results.section(kept))
    assert "## A small study" in text and "snakemake --cores 2" in text
    assert "| SRCNN3D | 3,649 | 1 | 1,200 | 4.1 | time budget |  |" in text
    assert "| 10,791 | 68.4 |  | weights that come with mrisr |" in text
    assert (
        "| SRCNN3D | -0.25 |" in text
        and "| Cubic + residual network | +1.23 [+1.10, +1.40] |" in text
    )
    assert "![bars](results/mini/bars.png)" in text and "What it shows." in text
    assert "Dice" not in text


def test_overlaps_are_shown_with_their_noise_floor(config, tmp_path):
    (tmp_path / "results/mini/tables/segmentation.csv").write_text(SEGMENTATION)
    kept = study_results.keep(config, [], "snakemake", tmp_path / "docs")
    text = "\n".join(study_results.section(kept))
    assert "| Cubic | 0.812 |" in text and "| Cubic + residual network | 0.875 |" in text
    assert "| noise floor | 0.0011 |" in text and "0.500" not in text


def test_what_is_not_there_is_named(config, tmp_path):
    with pytest.raises(SystemExit, match=r"zoom\.png: not there; figures: bars"):
        study_results.keep(config, ["zoom"], "", tmp_path / "docs")
    (tmp_path / "results/mini/tables/quality.csv").unlink()
    with pytest.raises(SystemExit, match=r"quality\.csv: not there; run the study to its end"):
        study_results.keep(config, [], "", tmp_path / "docs")


def test_the_search_for_its_learning_rates_and_a_reading_are_shown(config, tmp_path):
    search = tmp_path / "rates.yaml"
    fast = {"base": "srcnn3d", "training": {"learning_rate": 0.003}}
    chosen = {"cubic": None, "srcnn3d": None, "fast": fast}
    search.write_text(yaml.safe_dump({**CONFIG, "study": "rates", "methods": chosen}))
    for name, rate, loss in (("fast", 0.003, 0.0501), ("srcnn3d", 0.001, 0.0378)):
        folder = tmp_path / f"results/rates/models/{name}/x2"
        folder.mkdir(parents=True)
        model = {"steps": 107, "seconds": 60, "training": {"learning_rate": rate}, "val_loss": loss}
        (folder / "model.json").write_text(json.dumps(model))
    (tmp_path / "reading.md").write_text("Nothing is ranked.\n")
    how = config, [], "snakemake", tmp_path / "docs", None, search, tmp_path / "reading.md"
    text = "\n".join(study_results.section(study_results.keep(*how)))
    slow = text.index("| SRCNN3D | 0.001 | 1.0 | 107 | 0.0378 |")
    assert slow < text.index("| SRCNN3D | 0.003 | 1.0 | 107 | 0.0501 |")
    assert "\n\nNothing is ranked.\n\nAll means" in text
