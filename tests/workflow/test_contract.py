"""The contract holds for what the other papers need: no later method has to change the rules."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml

from mrisr.methods import method as methods
from tiny_study import TINY, TINY_IREM, jobs

pytestmark = pytest.mark.workflow


def test_models_per_subject_from_three_stacks(tiny_study):
    study = tiny_study(
        methods={"irem": TINY_IREM},
        scales=[2, 4],
        degradation={"kind": "stacks", "kernel": "slice_profile"},
        datasets={"tiny": {"roles": ["test"]}},
    )
    planned = jobs(study.run("-n", "all", "models")[1])
    assert planned["degrade_tiny"] == 2
    assert planned["train_irem_tiny"] == 4  # two subjects, two scales
    assert planned["reconstruct_irem_tiny"] == 4
    assert planned["evaluate_tiny"] == 2
    assert "prepare_tiny_train" not in planned

    target = "results/tiny/metrics/tiny/irem/x2.csv"
    study.run(target)
    lr = study.results / "lr" / "tiny" / "x2"
    assert sorted(p.name for p in lr.glob("sub-04*")) == [
        f"sub-04_{stack}.nii.gz" for stack in ("axial", "coronal", "sagittal")
    ]
    assert (study.results / "models/irem/x2/tiny/sub-04/model.safetensors").exists()
    assert (study.folder / target).read_text().count("psnr") == 4
    about = json.loads((study.results / "models/irem/x2/tiny/sub-04/model.json").read_text())
    assert about["epochs"] == 2 and about["train_subjects"][0] == "sub-04_axial"
    assert nib.load(study.results / "hr/tiny/sub-04.nii.gz").shape == (28, 32, 32)


def test_one_stack_of_thick_slices(tiny_study):
    smore = {
        "model": {"features": 4, "blocks": 1},
        "training": {"epochs": 1, "steps_per_epoch": 4, "batch": 2, "lr_patch": 6, "patch": 12},
    }
    study = tiny_study(
        methods={"cubic": None, "srr": None, "smore": smore},
        degradation={"kind": "through_plane", "acquisitions": ["2|0.5", "3|0"]},
        scales=[2.5],
        metrics=["psnr", "psi"],
        regions=["volume", "mask", "through_plane"],
        datasets={"tiny": {"roles": ["test"]}},
    )
    planned = jobs(study.run("-n", "all")[1])
    assert planned["degrade_tiny"] == 1 and planned["train_smore_tiny"] == 2
    assert planned["figure_stacks_tiny"] == 1
    target = "results/tiny/metrics/tiny/srr/x2.5.csv"  # its stack is the only one
    code, output = study.run("results/tiny/sr/tiny/smore/x2.5/sub-04.nii.gz", target)
    assert code == 0, output
    rows = (study.folder / target).read_text()
    assert rows.count("psi,through_plane") == 2 and rows.count("psnr,volume") == 2
    lr = study.results / "lr/tiny/x2.5"
    assert set(json.loads((lr / "sub-04.json").read_text())) == {
        *("SliceThickness", "SpacingBetweenSlices"),
    }
    low, truth = nib.load(lr / "sub-04.nii.gz"), nib.load(study.results / "hr/tiny/sub-04.nii.gz")
    assert low.shape[:2] == truth.shape[:2] and low.shape[2] == round(truth.shape[2] / 2.5)


def test_two_dimensional_slices(tiny_study):
    study = tiny_study(
        methods={"toy_slice": None},
        degradation={"kind": "slice", "antialias": 1.0},
        slices={"count": 2, "axis": "sagittal", "central": 10},
        scales=[1.5, 2, 3],
    )
    planned = jobs(study.run("-n")[1])
    assert planned["train_toy_slice"] == 1  # one model for all scales
    assert planned["reconstruct_toy_slice_tiny"] == 2  # 3 is outside its limits
    code, output = study.run("-n", "results/tiny/sr/tiny/toy_slice/x2/sub-04_slice-2.nii.gz")
    assert code == 0, output
    study.run("results/tiny/metrics/tiny/toy_slice/x1.5.csv")
    rows = (study.results / "metrics/tiny/toy_slice/x1.5.csv").read_text()
    assert all(f"sub-0{n}_slice-{i}" in rows for n in (4, 5) for i in (1, 2))


def test_variants_of_one_method_by_config(tiny_study):
    study = tiny_study(
        methods={
            "arssr_rdn": TINY["arssr_rdn"],
            "arssr_linear": {
                "base": "arssr_rdn",
                "label": "ArSSR, linear head",
                **TINY["arssr_rdn"],
                "model": {**TINY["arssr_rdn"]["model"], "head": "linear"},
            },
            "srcnn3d": TINY["srcnn3d"],
            "srcnn3d_wide": {"base": "srcnn3d", "model": {"features": [8, 4]}},
        },
        scales=[2, 4],
    )
    planned = jobs(study.run("-n")[1])
    assert planned["train_arssr_rdn"] == planned["train_arssr_linear"] == 1
    assert planned["train_srcnn3d"] == planned["train_srcnn3d_wide"] == 2
    assert planned["reconstruct_arssr_linear_tiny"] == 2
    # Resources of a variant can be set by its own name.
    study.run("-n", "--set-resources", "reconstruct_arssr_linear_tiny:mem_mb=99")


def test_a_method_that_is_only_rules_and_a_variant_of_it(tiny_study):
    study = tiny_study(
        methods={"toy_external": None, "toy_copy": {"base": "toy_external", "label": "Copy"}}
    )
    planned = jobs(study.run("-n")[1])
    assert planned["reconstruct_toy_external"] == 2
    assert planned["reconstruct_toy_copy"] == 2


def test_a_dataset_of_test_subjects_only_beside_the_training_set(tiny_study):
    study = tiny_study(methods={"cubic": None, "srcnn3d": TINY["srcnn3d"]})
    (study.plugins / "datasets/other.yaml").write_text(
        (study.plugins / "datasets/tiny.yaml").read_text().replace("Tiny", "Other")
    )
    study.config["datasets"] = {
        "tiny": {"roles": ["train"]},
        "other": {"scales": [3], "subjects": {"test": 1}},
    }
    planned = jobs(study.run("-n")[1])
    assert planned["train_srcnn3d"] == 1
    assert "evaluate_tiny" not in planned
    assert planned["evaluate_other"] == 2
    code, _ = study.run("-n", "results/tiny/sr/other/srcnn3d/x3/sub-04.nii.gz")
    assert code == 0


def test_imported_weights_take_the_place_of_training(tiny_study):
    imports = {
        "arssr_rdn": {**TINY["arssr_rdn"], "weights": "authors.pkl"},
        "srcnn3d": {**TINY["srcnn3d"], "weights": "x{scale}.pt"},
    }
    study = tiny_study(methods={"cubic": None, **imports}, scales=[2, 3], baseline="cubic")
    study.config["datasets"] = {"tiny": {"roles": ["test"]}}
    for name, file in (("arssr_rdn", "authors.pkl"), ("srcnn3d", "x2.pt"), ("srcnn3d", "x3.pt")):
        method = methods.get(name, TINY[name])
        torch.save(method.build().state_dict(), study.folder / file)
    planned = jobs(study.run("-n")[1])
    assert (planned["import_arssr_rdn"], planned["import_srcnn3d"]) == (1, 2)
    assert not [name for name in planned if name.startswith("train_") or name.endswith("_train")]
    assert "figure_curves" not in planned  # nothing was trained here

    (study.folder / "x2.pt").write_bytes((study.folder / "authors.pkl").read_bytes())
    models = "results/tiny/models"
    target = [f"{models}/srcnn3d/x{scale}/model.json" for scale in (2, 3)]
    code, output = study.run("--keep-going", *target, check=False)
    assert code != 0 and "x2.pt: does not fit method 'srcnn3d'" in output
    about = json.loads((study.folder / target[1]).read_text())
    assert about["imported"] and about["file"] == "x3.pt" and about["scales"] == [3]
    assert not (study.folder / target[0]).exists()
    (study.folder / "x3.pt").unlink()
    code, output = study.run("-n", check=False)
    assert code != 0 and "methods.srcnn3d.model: x3.pt: no such file" in output


def test_numbers_in_lists_may_be_given_on_the_command_line(tiny_study):
    _, output = tiny_study().run("-n", "--config", "scales=[2, 2.5]")
    assert jobs(output)["evaluate_tiny"] == 2


def test_scans_of_any_folder_with_given_masks_reach_the_tables(tiny_study):
    study = tiny_study()
    for number in (4, 5):
        image = nib.load(study.scan(f"0{number}"))
        folder = study.folder / "scans" / f"patient{number}"
        folder.mkdir(parents=True)
        data = np.asarray(image.dataobj, np.float32)
        nib.save(nib.MGHImage(data, image.affine), folder / "T1.mgz")
        inside = np.zeros(data.shape, np.uint8)
        inside[8:22, 8:26, 8:24] = 1
        nib.save(nib.Nifti1Image(inside, image.affine), folder / "brain.nii.gz")
    ours = yaml.safe_load((study.plugins / "datasets/tiny.yaml").read_text()) | {
        "source": {"kind": "folder", "pattern": "{subject}/T1.mgz"},
        "split": "test",
        "crop": {"kind": "brain", "margin": 2},
        "mask": {"kind": "file", "pattern": "{subject}/brain*.nii.gz"},
    }
    (study.plugins / "datasets/ours.yaml").write_text(yaml.safe_dump(ours))
    study.config["datasets"] = {"ours": {"subjects": {"test": "list.txt"}}}
    (study.folder / "list.txt").write_text("patient5\n")
    code, output = study.run("-n", check=False)
    assert code != 0 and "give their folder with datasets.ours.folder" in output
    study.config["datasets"]["ours"]["folder"] = "scans"
    study.run("results/tiny/lr/ours/x2/patient5.nii.gz")
    truth = nib.load(study.results / "hr/ours/patient5.nii.gz")
    assert truth.shape == (18, 22, 20) and nib.aff2axcodes(truth.affine) == ("R", "A", "S")
    assert not (study.results / "hr/ours/patient4.nii.gz").exists()
    (study.folder / "scans/patient5/brain.nii.gz").unlink()
    code, output = study.run("-n", check=False)
    assert code != 0 and "patient5: no file patient5/brain*.nii.gz" in output
