"""Real stacks in one space: what is moved, scaled, cropped, refused; the SR grid above."""

import numpy as np
import pytest
import yaml
from nibabel.affines import apply_affine

from mrisr.common.errors import ConfigError, InputError
from mrisr.common.files import Staging
from mrisr.common.layout import inputs_by_item
from mrisr.data import datasets, finding
from mrisr.data.fixed_stack import fixed_stack
from mrisr.methods import method as methods
from mrisr.plan import cells, figures
from mrisr.prepare.real_stacks import prepare_stack_subjects, prepare_stacks, stack_subjects
from mrisr.study.load import checked
from mrisr.volumes.io import Volume, load, save
from mrisr.volumes.stacks import average, sampled
from stack_scans import acquired, head, motion


def test_stacks_get_one_gain_one_space_and_a_grid_of_cubes():
    pairs = {"a": acquired("axial"), "b": acquired("coronal", 3.0), "c": acquired("sagittal", 0.5)}
    made = prepare_stacks(
        {name: its[0] for name, its in pairs.items()},
        {name: its[1] for name, its in pairs.items()},
        3,
        register="none",
    )
    tops = [volume.data.max() for volume in made.stacks.values()]
    assert max(tops) <= 1 and min(tops) > 0.8
    means = [v.data[made.masks[s].data != 0].mean() for s, v in made.stacks.items()]
    np.testing.assert_allclose(means, means[0], rtol=1e-5)
    for name, volume in made.stacks.items():
        assert volume.data.dtype == np.float32 and made.masks[name].data.dtype == np.uint8
        np.testing.assert_array_equal(volume.affine, made.masks[name].affine)
        # Cropped to the mask and 5 mm around it.
        assert volume.data.size < pairs[name][0].data.size
    np.testing.assert_allclose(made.grid.voxel_size, 2)
    wanted, _ = sampled(head()[1], made.grid.data.shape, made.grid.affine, 0)
    found, wanted = made.grid.data != 0, wanted != 0
    assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) > 0.95


def test_a_moved_stack_is_brought_back():
    shift = motion((0.06, -0.05, 0.08), (3, -4, 2))
    pairs = {"a": acquired("axial"), "b": acquired("coronal", 2.0, shift)}
    stacks, masks = ({name: its[i] for name, its in pairs.items()} for i in (0, 1))
    made = prepare_stacks(stacks, masks, 3, name="sub-01")
    straight = prepare_stacks(stacks, masks, 3, name="sub-01", register="none")
    places = np.array([[0, 0, 0], [25, 10, -10], [-20, 20, 15]])
    # The header says x, the head is at shift x.
    found = made.stacks["b"].affine @ np.linalg.inv(straight.stacks["b"].affine)
    wanted = apply_affine(shift, places)
    off = np.linalg.norm(apply_affine(found, places) - wanted, axis=1)
    # A third of a slice, of 6 mm.
    assert off.max() < 2 < np.linalg.norm(places - wanted, axis=1).min()
    np.testing.assert_array_equal(made.stacks["a"].affine, straight.stacks["a"].affine)
    truth = average({"a": made.stacks["a"]}, made.grid.data.shape, made.grid.affine)
    inside = made.grid.data != 0
    agreement = []
    for its in (made, straight):
        other = average({"b": its.stacks["b"]}, made.grid.data.shape, made.grid.affine)
        agreement.append(np.corrcoef(truth[inside], other[inside])[0, 1])
    assert agreement[0] > agreement[1] + 0.1


def test_without_masks_the_foreground_is_taken():
    stacks = {"a": acquired("axial")[0], "b": acquired("coronal")[0]}
    made = prepare_stacks(stacks, None, 2, register="none")
    np.testing.assert_allclose(made.grid.voxel_size, 3)
    assert 0.2 < made.grid.data.mean() < 0.9


def test_what_cannot_be_one_subject_is_refused():
    volume, mask = acquired("axial")
    with pytest.raises(InputError, match=r"sub-01: stacks\.fixed is 3, but it has 1 stacks"):
        prepare_stacks({"a": volume}, {"a": mask}, 3, fixed=3, name="sub-01")
    broken = Volume(np.full_like(volume.data, np.nan), volume.affine)
    with pytest.raises(InputError, match=r"sub-01, a: .*NaN"):
        prepare_stacks({"a": broken}, {"a": mask}, 3, name="sub-01")


def test_subjects_with_problems_are_named_together(tmp_path):
    volume, mask = acquired("axial")
    save(volume, tmp_path / "good.nii.gz")
    save(mask, tmp_path / "mask.nii.gz")
    save(Volume(np.zeros((5, 5, 5), np.uint8), np.eye(4)), tmp_path / "off.nii.gz")
    rows = [f"{s}_stack-1\t{tmp_path / 'good.nii.gz'}" for s in ("s1", "s2", "s3")]
    (tmp_path / "sources.tsv").write_text("\n".join(["subject\tpath", *rows]) + "\n")
    outputs = {s: [tmp_path / f"{s}_{part}.nii.gz" for part in "lmg"] for s in ("s1", "s2", "s3")}

    def run(*masks):
        stacks = {subject: ["stack-1"] for subject in outputs}
        masks = [tmp_path / f"{name}.nii.gz" for name in masks]
        prepare_stack_subjects(
            stack_subjects(tmp_path / "sources.tsv", stacks, outputs, masks),
            scale=3,
            **{"register": "rigid", "fixed": 1, "seed": 0},
            staging=Staging(tmp_path / "staging", "x"),
        )

    with pytest.raises(InputError) as caught:
        run("mask", "off", "off")
    assert "2 of 3 subjects" in str(caught.value) and "s2: " in str(caught.value)
    assert not outputs["s1"][0].exists()
    run("mask", "mask", "mask")
    assert load(outputs["s3"][2]).data.max() == 1


def test_files_are_grouped_by_item_and_stack():
    names = ["a_stack-1", "a_stack-2", "a_b_stack-1", "c", "d_axial", "d_coronal"]
    files = [f"lr/{name}.nii.gz" for name in names]
    items = [f"sr/{name}.nii.gz" for name in ("a", "a_b", "c", "d")]
    assert inputs_by_item(items, files) == [
        {"stack-1": files[0], "stack-2": files[1]},
        {"stack-1": files[2]},
        {"": files[3]},
        {"axial": files[4], "coronal": files[5]},
    ]


@pytest.fixture
def stacked(tmp_path):
    """A dataset of stacks in a folder; returns its YAML's content and a way to load it."""
    for name in ("s1_run2", "s1_run10", "s1_run1", "s1_mask1", "s1_mask2", "s1_mask10", "s2_run1"):
        (tmp_path / f"{name}.nii.gz").touch()
    (tmp_path / "datasets").mkdir()
    about = {
        "label": "Stacks",
        "skull_stripped": False,
        "scans": "stacks",
        "source": {"kind": "folder", "folder": str(tmp_path), "pattern": "{subject}_run*.nii.gz"},
        "mask": {"kind": "file", "pattern": "{subject}_mask*.nii.gz"},
        "split": "test",
    }

    def made(**changes):
        (tmp_path / "datasets/its.yaml").write_text(yaml.safe_dump(about | changes))
        return datasets.load("its", search=[tmp_path])

    return made


def test_all_stacks_of_a_subject_are_found_in_their_order(stacked):
    dataset = stacked()
    assert dataset.stacked and not dataset.has_ground_truth
    assert dataset.subjects["test"] == ["s1", "s2"]
    assert dataset.stacks == {"s1": ["stack-1", "stack-2", "stack-3"], "s2": ["stack-1"]}
    files = dataset.local_files("test")
    assert [path.name for path in files.values()] == [
        *("s1_run1.nii.gz", "s1_run2.nii.gz", "s1_run10.nii.gz", "s2_run1.nii.gz"),
    ]
    assert list(files)[:2] == ["s1_stack-1", "s1_stack-2"]
    with pytest.raises(InputError, match=r"s2: no file s2_mask\*\.nii\.gz"):
        dataset.mask_files("test")
    (dataset.folder / "s2_mask1.nii.gz").touch()
    (dataset.folder / "s2_mask2.nii.gz").touch()
    with pytest.raises(InputError, match=r"s2: 2 masks of 1 stacks; each stack needs one"):
        dataset.mask_files("test")
    with pytest.raises(InputError, match=r"no file s3_run\*"):
        finding.pattern_files(dataset.folder, "s3", "{subject}_run*.nii.gz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": {"kind": "template"}}, r"its\.yaml: mask: kind template needs whole heads"),
        ({"scans": "hr", "stacks": {"fixed": 2}}, r"its\.yaml: stacks: goes with scans: stacks"),
        ({"stacks": {"fixd": 2}}, r"'stacks\.fixd': did you mean 'fixed'"),
        (
            {"source": {"kind": "https", "url": "https://a/{subject}", "pattern": "{subject}.nii"}},
            r"its\.yaml: scans: stacks takes all files of a subject",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_refused(stacked, changes, message):
    if "source" in changes:
        changes["mask"] = {"kind": "signal"}
    with pytest.raises(ConfigError, match=message):
        stacked(**changes)


def test_a_study_of_stacks_plans_what_each_subject_has(stacked, tmp_path):
    stacked(mask={"kind": "signal"})
    config = {
        **{"study": "its", "seed": 1, "plugins": [str(tmp_path)], "datasets": {"its": None}},
        **{"scales": [3], "degradation": {"kind": "stacks"}, "metrics": ["psi"]},
        "methods": {"bspline": None, "irem": None, "identity": None},
    }
    study = checked(config)
    assert study.real_datasets == ["its"] and study.degradation_of("its")["grid"] == "centres"
    assert study.inputs("its", "s1") == ["s1_stack-1", "s1_stack-2", "s1_stack-3"]
    assert [cell.method.name for cell in study.cells()] == ["bspline", "irem"]
    folders = cells.model_folders(cells.cells(study))
    assert folders == [f"results/its/models/irem/x3/its/{subject}" for subject in ("s1", "s2")]
    names = [its.name for its in figures.figures(study)]
    assert "stacks_its" in names and "real_its" not in names and "bars_its" not in names
    assert "moved rigidly to one of them" in cells.notes(study)["Real scans"]
    volumes = {"degradation": {"kind": "volume"}, "methods": {"cubic": None}}
    with pytest.raises(ConfigError, match=r"datasets\.its: is real LR, several stacks a subject"):
        checked(config | volumes)
    limited = {"methods": {"bspline": {"limits": {"datasets": ["it"]}}}}
    with pytest.raises(ConfigError, match=r"limits\.datasets: 'it' is not .*did you mean 'its'"):
        checked(config | limited)


def test_a_variant_is_only_for_the_datasets_that_it_names():
    method = methods.get("irem", {"limits": {"datasets": ["a"], "reason": "Fig. 3"}})
    assert method.refuses(4, "a") is None and method.refuses(4) is None
    assert method.refuses(4, "b") == "dataset b not asked for (only a: Fig. 3)"


def test_the_fixed_stack_can_be_drawn_for_each_subject():
    assert fixed_stack(2, 3, 1, "sub-01") == 2
    drawn = [fixed_stack("drawn", 3, 1, f"sub-{i:02d}") for i in range(30)]
    assert set(drawn) == {1, 2, 3}
    assert drawn == [fixed_stack("drawn", 3, 1, f"sub-{i:02d}") for i in range(30)]
    assert drawn != [fixed_stack("drawn", 3, 2, f"sub-{i:02d}") for i in range(30)]
