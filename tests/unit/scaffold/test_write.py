"""What `mrisr new` writes, and what it refuses."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from mrisr import contract, metrics
from mrisr.cli.main import app
from mrisr.common.errors import ConfigError, InputError
from mrisr.common.schema import changes
from mrisr.data import datasets
from mrisr.degrade.resample import degrade
from mrisr.methods import method as methods
from mrisr.reconstruct.apply import reconstruct
from mrisr.scaffold import write
from mrisr.scaffold.look import look
from mrisr.study.load import checked
from mrisr.volumes.io import Volume, load, save
from tiny_study import ROOT, write_scan

AFFINE = np.array([[0.9, 0.1, 0, 5], [-0.1, 0.9, 0, -7], [0, 0, 1.2, 3], [0, 0, 0, 1]])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    metrics.use([])


def call(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def printed(done):
    """The commands that are printed at the end."""
    assert done.exit_code == 0, done.output
    lines = done.output.split("Next:\n")[1].splitlines()
    return [shlex.split(line) for line in lines if line.startswith("  ")]


def in_demo(command):
    """The demo study as a Snakemake command changes it."""
    pairs = command[command.index("--config") + 1 :]
    demo = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    return checked(methods.merge(demo, changes(pairs)))


def test_every_kind_is_written_clean_and_keeps_the_contract():
    for kind in write.KINDS:
        done = call("new", "method", f"my_{kind}", "--kind", kind)
        assert done.exit_code == 0, done.output
        assert methods.get(f"my_{kind}", search=["mine"]).kind == kind
    assert call("new", "metric", "nrmse").exit_code == 0
    options = ["--config", str(ROOT / "pyproject.toml"), "mine"]
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, *options]
        done = subprocess.run(ruff, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    in_python = [f"--only=my_{kind}" for kind in write.KINDS if kind != "external"]
    done = call("check", "mine", *in_python, "--only=nrmse")
    assert done.exit_code == 0, done.output
    assert "kept      learns from the demo's training in minutes" in done.output
    assert done.output.endswith("The contract is kept.\n")


def test_the_commands_that_are_printed_put_it_into_the_demo():
    for what, name in (("method", "my_cnn"), ("metric", "nrmse")):
        check, plan, run = printed(call("new", what, name))
        assert check == ["mrisr", "check", "mine", "--only", name]
        assert [word for word in plan if word != "-n"] == run
        study = in_demo(run)
        assert name in ({**study.methods} if what == "method" else study.config["metrics"])


def test_the_example_is_what_the_command_writes():
    write.method("trilinear", "external", "mine")
    for file in (ROOT / "examples/methods/trilinear").glob("*.*"):
        assert file.read_text() == Path("mine/methods/trilinear", file.name).read_text(), file


@pytest.mark.skipif(not shutil.which("perl"), reason="perl is not installed")
@pytest.mark.parametrize("grid", ["corners", "centres"])
def test_the_program_in_perl_gives_what_the_interpolation_in_python_gives(tmp_path, grid):
    write.method("linear", "interpolation", "mine")
    truth = Volume(np.random.default_rng(0).random((9, 11, 13)).astype(np.float32), AFFINE)
    low = degrade(truth, 2, {"kind": "volume", "kernel": "spline", "grid": grid, "antialias": None})
    for name, volume in (("hr", truth), ("lr", low[""])):
        save(volume, tmp_path / f"{name}.nii.gz")
    program = ROOT / "examples/methods/trilinear/super_resolve.pl"
    done = subprocess.run(
        ["perl", str(program), "lr.nii.gz", "hr.nii.gz"], capture_output=True, check=True
    )
    (tmp_path / "sr.nii").write_bytes(done.stdout)
    perl, method = load(tmp_path / "sr.nii"), methods.get("linear", search=["mine"])
    python = reconstruct(method, None, low[""], truth.data.shape, 2, truth.affine, grid)
    np.testing.assert_array_equal(perl.affine, truth.affine.astype(np.float32))
    np.testing.assert_allclose(perl.data, python.data, atol=1e-6)
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "lr.nii.gz").read_bytes()[:200])
    done = subprocess.run(
        ["perl", str(program), "cut.nii.gz", "hr.nii.gz"], capture_output=True, text=True
    )
    assert done.returncode and "cut.nii.gz" in done.stderr


@pytest.mark.parametrize("name", ["My-CNN", "2nd", "class", "cubic", "_x", "a b", "../up", ""])
def test_names_that_cannot_be_used_or_are_taken_are_refused(name, tmp_path):
    done = call("new", "method", "--", name)
    assert done.exit_code == 1 and f"method '{name}'" in done.stderr, done.output
    assert not list(tmp_path.iterdir())


def test_nothing_that_is_there_is_replaced(tmp_path):
    kept = tmp_path / "mine/methods/my_cnn/notes.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    with pytest.raises(ConfigError, match="is there already, and stays"):
        write.method("my_cnn", "supervised", "mine")
    assert [file.name for file in kept.parent.iterdir()] == ["notes.txt"]
    with pytest.raises(ConfigError, match="no such kind: did you mean 'supervised'"):
        write.method("other", "superwised", "mine")
    with pytest.raises(ConfigError, match="metric 'psnr': is there already"):
        write.metric("psnr", "mine")
    with pytest.raises(ConfigError, match="metric 'defaults': the name has another meaning"):
        write.metric("defaults", "mine")


def test_metrics_of_a_plugin_belong_to_the_study_that_names_it(tmp_path):
    write.metric("nrmse", "mine")
    config = {
        **{"study": "s", "seed": 1, "datasets": {"demo": None}, "scales": [2]},
        **{"degradation": {"kind": "volume"}, "methods": {"cubic": None}},
        "metrics": ["psnr", "nrmse"],
    }
    study = checked({**config, "plugins": ["mine"]})
    assert study.config["metrics"] == ["psnr", "nrmse"]
    assert study.metrics.metadata("nrmse").label == "Nrmse"
    assert "nrmse" not in metrics.names()  # another study of this process would find it
    code = "from mrisr import metrics; print(metrics.source('nrmse'))"  # a job, elsewhere
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd="/",
        env={"PYTHONPATH": str(ROOT / "workflow"), metrics.PLUGINS: str(tmp_path / "mine")},
    )  # fmt: skip
    assert done.stdout.strip() == str(tmp_path / "mine/metrics/nrmse.py"), done.stderr
    with pytest.raises(ConfigError, match="no metric 'nrmse'"):
        checked(config)


def test_two_files_are_compared_by_a_metric_of_a_plugin(tmp_path):
    write.metric("nrmse", "mine")
    truth = np.arange(512, dtype=np.float32).reshape(8, 8, 8)
    for name, data in (("hr", truth), ("sr", truth + 51.1)):
        save(Volume(data, AFFINE), tmp_path / f"{name}.nii.gz")
    files = ["sr.nii.gz", "--reference", "hr.nii.gz", "--workers", 1]
    done = call("metrics", *files, "--metric", "nrmse", "--plugins", "mine")
    assert done.exit_code == 0, done.output
    assert ["Nrmse", "volume", "0.1000", "lower"] in [
        line.split() for line in done.stdout.splitlines()
    ]


def test_a_metric_that_is_none_is_refused_by_its_file(tmp_path):
    file = tmp_path / "mine/metrics/sharp.py"
    file.parent.mkdir(parents=True)
    for text, problem in (
        ("def sharp(image): return 1", "holds no METADATA"),
        (
            "import nowhere_to_be_found  # of another length",
            "cannot be imported.*nowhere_to_be_found",
        ),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=rf"sharp\.py: {problem}"):
            metrics.use(["mine"])
    file.rename(file.with_name("psnr.py"))
    with pytest.raises(ConfigError, match=r"psnr' is in .*mine.*rename it"):
        metrics.use(["mine"])
    file.with_name("psnr.py").rename(file.with_name("test_sharp.py"))
    metrics.use(["mine"])  # tests beside metrics are no metrics


def test_what_breaks_the_contract_is_said_and_ends_with_an_error(tmp_path):
    code = tmp_path / "mine/methods/shift/method.py"
    write.method("shift", "interpolation", "mine")
    code.write_text(code.read_text().replace("return data", "return 255 * data"))
    done = call("check", "mine")
    assert done.exit_code == 1
    assert "NOT KEPT  keeps the range of intensities\n" in done.output
    assert "the ground truth's are in [0,1]" in done.output and "1 not kept." in done.output
    done = call("check", "mine", "--only", "shfit")
    assert done.exit_code == 1 and "did you mean 'shift'" in done.stderr
    done = call("check", str(tmp_path))
    assert done.exit_code == 1 and "holds no methods/<name>/method.yaml" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        ("self.halo = 2 +", "self.halo = 1 +", "reaches exactly as far as its halo"),
        ("self.first(image)", "self.first(image - image.mean())", "has no seams"),
        ("return image + self", "return image.cuda() + self", "computes on a CPU"),
        ("(1, features, 3", "(1, features, 3, bias=False", "has the number of parameters"),
    ],
)
def test_faults_of_a_network_are_found(tmp_path, old, new, broken):
    code = tmp_path / "mine/methods/net/method.py"
    write.method("net", "supervised", "mine")
    assert old in code.read_text()
    code.write_text(code.read_text().replace(old, new))
    checks = {str(check): check for check in contract.method("net", ["mine"])}
    (check,) = (check for what, check in checks.items() if what.startswith(broken))
    with pytest.raises(Exception, match="net") as found:
        check()
    assert "methods/net" in str(found.value)


def scans(folder, *files):
    for seed, file in enumerate(files):
        write_scan(folder / file, seed)
    return folder


def test_a_bids_folder_becomes_a_dataset_that_is_checked(tmp_path):
    folder = scans(
        tmp_path / "ours",
        *(f"sub-{n}/ses-{s}/anat/sub-{n}_ses-{s}_T1w.nii.gz" for n in "123" for s in ("a", "b")),
        "sub-1/ses-a/anat/sub-1_ses-a_T2w.nii.gz",
    )
    (folder / "sub-2/ses-b/anat/sub-2_ses-b_T1w.nii.gz").unlink()
    (folder / "sub-3/ses-a/anat/sub-3_ses-a_T1w.nii.gz").write_text("no scan")
    done = call("new", "dataset", "ours", "--from", folder)
    assert done.exit_code == 0, done.output
    assert "sub-3 (test): " in done.output and "not a NIfTI file" in done.output
    assert "subjects: sub-1, sub-2, sub-3\n" in done.output
    assert "2 fine" in done.output and "Scans have problems" in done.output
    assert in_demo(printed(done)[-1]).test_datasets == ["demo", "ours"]
    made = datasets.load("ours", search=["mine"])
    assert made.subjects["test"] == ["sub-1", "sub-2", "sub-3"]
    assert made.spec["source"]["session"] == "a"
    assert made.spec["skull_stripped"] and made.spec["mask"] == {"kind": "signal"}
    assert made.spec["scan"] == {"shape": [30, 34, 32], "voxel_size": [1.0, 1.1, 0.9]}
    assert "guessed, for 100 %" in (tmp_path / "mine/datasets/ours.yaml").read_text()
    for check in contract.dataset("ours", ["mine"]):
        check()
    again = call("new", "dataset", "ours", "--from", folder)
    assert again.exit_code == 1 and "ours.yaml (--force replaces it); choose" in again.stderr
    (folder / "sub-2").rename(tmp_path / "away")
    again = call("new", "dataset", "ours", "--from", folder, "--force")
    assert again.exit_code == 0 and "subjects: sub-1, sub-3\n" in again.output
    refused = call("new", "dataset", "demo", "--from", folder, "--force")
    assert refused.exit_code == 1 and "dataset 'demo': is there already" in refused.stderr


@pytest.mark.parametrize(
    ("files", "pattern", "mask"),
    [
        (["a/T1.nii.gz", "a/brain_mask.nii.gz", "b/T1.nii.gz", "b/brain_mask.nii.gz"],
         "{subject}/T1.nii.gz", "{subject}/brain_mask.nii.gz"),
        (["p1_T1.nii", "p1_T2.nii", "p2_T1.nii", "p2_T2.nii"], "{subject}_T1.nii", None),
        (["p1.nii.gz", "p2.nii.gz"], "{subject}.nii.gz", None),
        (["x/p1/p1_mprage.nii.gz", "y/p2/p2_mprage.nii.gz"],
         "*/{subject}/{subject}_mprage.nii.gz", None),
    ],
)  # fmt: skip
def test_the_pattern_of_any_other_folder_is_found(tmp_path, files, pattern, mask):
    found = look(scans(tmp_path / "ours", *files))
    assert yaml.safe_load(found.about["source"])["pattern"] == pattern
    kind = {"kind": "file", "pattern": mask} if mask else {"kind": "signal"}
    assert yaml.safe_load(found.about["mask"]) == kind


def test_folders_without_scans_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        look(tmp_path / "nowhere")
    (tmp_path / "sub-1").mkdir()
    with pytest.raises(InputError, match=r"no sub-\*/anat/ with scans"):
        look(tmp_path)
    (tmp_path / "sub-1").rename(tmp_path / "one")
    with pytest.raises(InputError, match=r"holds no scans \(\.nii\.gz"):
        look(tmp_path)
    done = call("new", "dataset", "demo", "--from", tmp_path)
    assert done.exit_code == 1 and "dataset 'demo': is there already" in done.stderr


def lines(found):
    """What is told, by the word that a line begins with."""
    return dict(line.split(": ", 1) for line in found.lines)


def test_folders_of_dates_are_visits_and_no_subjects(tmp_path):
    dates = {"HC_01": ["2019-03-04"], "HC_02": ["20190511_0912"], "HC_07": ["2019-06-01"]}
    files = [f"{name}/{day}/T1.nii.gz" for name, days in dates.items() for day in days]
    found = look(scans(tmp_path / "one", *files))
    assert yaml.safe_load(found.about["source"])["pattern"] == "{subject}/*/T1.nii.gz"
    assert lines(found)["scans"] == "3 of 3 in the folder match"
    assert lines(found)["chosen"] == "{subject}/*/T1.nii.gz, for 'T1' in their name"
    found = look(scans(tmp_path / "two", *files, "HC_02/2020-01-01/T1.nii.gz"))
    assert yaml.safe_load(found.about["source"])["pattern"] == "{subject}/*/T1.nii.gz"
    assert lines(found)["several scans"].startswith("of HC_02; name one visit")
    flat = [f"HC_0{n}_2019030{n}_T1.nii.gz" for n in (1, 2, 3)]
    found = look(scans(tmp_path / "flat", *flat))
    assert yaml.safe_load(found.about["source"])["pattern"] == "{subject}_*_T1.nii.gz"


def test_what_is_not_matched_is_counted_and_other_scans_are_listed(tmp_path):
    files = [f"HC_0{n}/{kind}.nii.gz" for n in range(1, 5) for kind in ("FLAIR", "T1", "T2")]
    hidden = "HC_07/.git/annex/T1.nii.gz"  # which no pattern matches
    found = look(scans(tmp_path / "ours", *files, "HC_07/T1_repeat.nii.gz", hidden))
    said = lines(found)
    assert said["scans"] == "4 of 13 in the folder match"
    assert said["chosen"] == "{subject}/T1.nii.gz, for 'T1' in their name"
    for kind in ("FLAIR", "T2"):
        assert f"{{subject}}/{kind}.nii.gz (4 subjects)" in said["other scans"]
    assert said["not matched"] == "1, HC_07/T1_repeat.nii.gz"
    # Nothing says T1: that one was taken for no reason is said.
    files = [f"HC_0{n}/{kind}.nii.gz" for n in (1, 2) for kind in ("FLAIR", "PD")]
    said = lines(look(scans(tmp_path / "others", *files)))
    assert said["chosen"].endswith(", for most subjects have one")
    given = look(tmp_path / "others", pattern="{subject}/PD.nii.gz")
    assert "chosen" not in lines(given)
    assert lines(given)["other scans"].startswith("{subject}/FLAIR.nii.gz (2 subjects)")


def test_spaces_umlauts_and_brackets_are_named_or_taken(tmp_path):
    folder = scans(tmp_path / "Ünser Ordner", "Müller Hans/T1.nii.gz", "Özil/T1.nii.gz")
    with pytest.raises(
        InputError, match=r"2 scans, such as 'Müller Hans/T1.nii.gz', but no folder"
    ):
        look(folder)
    folder = scans(tmp_path / "Größe [1]", *(f"P{n}/T1 größer [2] (copy).nii.gz" for n in "12"))
    done = call("new", "dataset", "umlauts", "--from", folder)
    assert done.exit_code == 0, done.output
    made = datasets.load("umlauts", search=["mine"])
    assert list(made.local_files("test")) == ["P1", "P2"]


def test_bids_folders_say_sessions_and_other_contrasts(tmp_path):
    folder = scans(
        tmp_path / "ours",
        *(f"sub-{n}/ses-a/anat/sub-{n}_ses-a_T1w.nii.gz" for n in "123"),
        *(f"sub-{n}/ses-b/anat/sub-{n}_ses-b_T1w.nii.gz" for n in "12"),
        "sub-4/ses-b/anat/sub-4_ses-b_FLAIR.nii.gz",
    )
    said = lines(look(folder))
    assert said["sessions"].startswith("a (3 subjects), b (2 subjects); a is taken")
    assert said["other scans"].startswith("FLAIR (1); T1w is taken")
    assert said["without such a scan"] == "sub-4"


def test_the_first_scan_that_can_be_used_is_looked_at(tmp_path):
    folder = scans(tmp_path / "ours", "p1/T1.nii.gz", "p2/T1.nii.gz")
    image = nib.load(folder / "p1/T1.nii.gz")
    image.header["sform_code"], image.header["qform_code"] = 0, 0
    nib.save(nib.Nifti1Image(image.dataobj, None, image.header), folder / "p1/T1.nii.gz")
    done = call("new", "dataset", "ours", "--from", folder)
    assert done.exit_code == 0 and "no orientation in the header" in done.output
    (folder / "p2/T1.nii.gz").write_bytes((folder / "p1/T1.nii.gz").read_bytes())
    with pytest.raises(InputError, match="no orientation in the header"):
        look(folder)


def test_sidecars_of_several_runs_are_no_scans(tmp_path):
    data = np.zeros((8, 8, 8), np.float32)
    data[2:6, 2:6, 2:6] = 5
    for run in (1, 2):
        stem = tmp_path / "sub-01" / "anat" / f"sub-01_run-{run}_T1w"
        stem.parent.mkdir(parents=True, exist_ok=True)
        save(Volume(data, np.eye(4)), f"{stem}.nii.gz")
        Path(f"{stem}.json").write_text("{}")
        (stem.parent / f"._{stem.name}.nii.gz").write_bytes(b"macOS")
    assert look(tmp_path).about["first"] == "sub-01_run-1_T1w.nii.gz"
