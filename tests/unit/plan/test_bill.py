"""The bill of a study: its jobs, what was recorded, and what follows from it."""

import csv
import time
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mrisr.cli.main import app
from mrisr.common.errors import InputError
from mrisr.common.schema import read_yaml
from mrisr.common.text import duration
from mrisr.plan import bill as plans
from mrisr.plan.costs import FOLDER, Cost, Costs, record
from mrisr.plan.job_list import Jobs
from mrisr.plan.jobs import STAGES, StudyJobs
from mrisr.study.load import checked, load_study
from tiny_study import LEAST

CONFIG = FOLDER.parent.parent / "config"
BENCHMARK = "s\th:m:s\tmax_rss\tmean_load\tcpu_time\n"


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """The jobs of the demo, nothing of it made yet."""
    monkeypatch.chdir(tmp_path)
    return StudyJobs(load_study(CONFIG / "demo.yaml"))


def both(study_jobs, costs, study, known):
    """Return, by stage, what jobs took in a study and what they are told to take.

    Of jobs that were recorded there; what was added to the study since is not.
    """
    told, took = defaultdict(float), defaultdict(float)
    rows = {(row.kind, row.variant): row for row in costs.costs if row.study == study}
    for jobs in study_jobs.jobs:
        if row := rows.get((jobs.kind, jobs.variant)):
            told[jobs.stage] += jobs.count * known.estimate(jobs).seconds
            took[jobs.stage] += jobs.count * row.seconds / row.jobs
    return told, took


def test_trainings_are_told_by_the_steps_that_they_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = read_yaml(CONFIG / "arssr.yaml")

    def sizes(training):
        jobs = StudyJobs(checked({**config, "training": training})).jobs
        return {job.name: job.size for job in jobs if job.kind == "train"}

    published, half = sizes({"steps": "published"}), sizes({"steps": 390_000})
    by_epochs = sizes({})
    name = "train_arssr_rdn x2-4"
    assert published[name] == pytest.approx(2 * half[name])
    assert published[name] == pytest.approx(780_000 / (2500 * 20) * by_epochs[name])
    # (10 k)^3 patches of the baselines.
    assert published["train_srcnn3d x4"] == pytest.approx(8 * published["train_srcnn3d x2"])


def test_trainings_of_slices_are_told_by_their_tiles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study_jobs = StudyJobs(load_study(CONFIG / "coord.yaml"))
    sizes = {job.name: job.size for job in study_jobs.jobs if job.stage == "train"}
    # Tiles of 48 x 48 LR voxels, 16 a step; Conv works on the LR grid alone.
    assert sizes["train_conv x2"] == 100_000 * 16 * 48**2 * 1_367_553
    encoder = 1_219_264
    assert sizes["train_coord_2x x2"] == 1000 * 16 * (
        48**2 * encoder + 2304 * (1_565_633 - encoder)
    )


def planned(study_jobs, costs):
    stages = plans.plan(study_jobs, costs).stages
    return {name: s.cpu_seconds for name, s in stages.items()}


def test_the_demo_is_told_within_a_factor_of_two_by_stage(demo):
    costs = Costs.load()
    told, took = both(demo, costs, "demo", costs)
    assert set(took) == set(STAGES)
    for stage in STAGES:
        assert 1 / plans.FACTOR < told[stage] / took[stage] < plans.FACTOR, stage


def test_real_scans_tell_what_the_demo_costs_where_its_networks_are_not_shrunk(demo):
    costs = Costs.load()
    others = Costs([row for row in costs.costs if row.study != "demo"], costs.disk)
    told, took = both(demo, costs, "demo", others)
    for stage in ("degrade", "evaluate", "segment"):
        assert 1 / plans.FACTOR < told[stage] / took[stage] < plans.FACTOR, stage


def test_the_shape_of_the_paper_stays_below_20_000_jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = time.process_time()
    study_jobs = StudyJobs(load_study(CONFIG / "rehearsal.yaml"))
    subjects = study_jobs.study.datasets["crowd"].subjects
    assert [len(subjects[split]) for split in ("train", "val", "test")] == [780, 111, 222]
    found = plans.plan(study_jobs, Costs.load())
    count = {name: stage.jobs for name, stage in found.stages.items()}
    assert count["segment"] > 222 * 5 * 6 and sum(count.values()) < 20_000
    assert count["train"] == 3 * 5 + 4
    assert time.process_time() - before < 15


def test_what_was_recorded_is_told_again(demo):
    half = {"reconstruct", "evaluate"}
    total = 0.0
    for number, jobs in enumerate(demo.jobs):
        for file in jobs.benchmarks if jobs.stage in half else ():
            seconds = 20.0 + number % 3
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).write_text(f"{BENCHMARK}{seconds}\t0:00:20\t{300 + number}\t50\t1\n")
            total += seconds / 2
    costs = record(demo)
    assert sum(row.seconds for row in costs.costs) == pytest.approx(total)
    costs.save("costs")
    again = Costs.load("costs")
    assert {row.key for row in again.costs} == {row.key for row in costs.costs}
    assert len(again.updated(costs).costs) == len(costs.costs)
    told = planned(demo, again)
    assert told["reconstruct"] + told["evaluate"] == pytest.approx(total, rel=0.1)
    assert plans.plan(demo, again).stages["segment"].unknown == 24


def test_short_jobs_that_snakemake_did_not_watch_count_by_their_wall_time(demo):
    file = Path(next(jobs for jobs in demo.jobs if jobs.kind == "overlap").benchmarks[0])
    file.parent.mkdir(parents=True)
    file.write_text(f"{BENCHMARK}0.5\t0:00:00\tNA\t0.00\tNA\n")
    (row,) = record(demo).costs
    assert (row.seconds, row.peak_mb) == (0.5, 0)


def test_a_training_that_went_on_after_an_interruption_is_not_recorded(demo):
    jobs = next(jobs for jobs in demo.jobs if jobs.kind == "train")
    Path(jobs.benchmarks[0]).parent.mkdir(parents=True)
    Path(jobs.benchmarks[0]).write_text(f"{BENCHMARK}100\t0:01:40\t500\t100\t100\n")
    Path(jobs.model).mkdir(parents=True)
    (Path(jobs.model) / "model.json").write_text('{"seconds": 900}')
    with pytest.raises(InputError, match="holds no benchmark"):
        record(demo)
    (Path(jobs.model) / "model.json").write_text('{"seconds": 95}')
    assert record(demo).costs[0].seconds == 100


def test_a_file_that_is_no_benchmark_is_named(demo):
    file = Path(demo.jobs[0].benchmarks[0])
    file.parent.mkdir(parents=True)
    file.write_text("s\tmax_rss\nabc\t1\n")
    with pytest.raises(InputError, match=r"test\.tsv\.tsv: not a benchmark|train\.tsv\.tsv: not"):
        record(demo)


def test_what_is_there_already_is_left_out_if_asked(demo):
    costs = Costs.load()
    all_jobs = plans.plan(demo, costs, [1])
    file = Path(next(jobs for jobs in demo.jobs if jobs.kind == "evaluate").outputs[0][0])
    file.parent.mkdir(parents=True)
    file.touch()
    rest = plans.plan(demo, costs, [1], remaining=True)
    assert rest.stages["evaluate"].jobs == all_jobs.stages["evaluate"].jobs - 1
    assert rest.wall_seconds[1] < all_jobs.wall_seconds[1]


def test_trainings_never_recorded_on_a_gpu_are_in_the_total(demo):
    found = plans.plan(demo, Costs.load())
    stages = found.stages.values()
    train = found.stages["train"]
    assert train.gpu_unknown and train.on_cpu_seconds > 60
    total = sum(stage.cpu_seconds for stage in stages)
    assert total > train.on_cpu_seconds
    rows = {line.split("  ")[0]: line for line in plans.described(found, demo).splitlines()}
    assert duration(total) in rows["total"] and duration(train.cpu_seconds) in rows["train"]
    # One job at a time takes as long as all together.
    assert found.wall_seconds[1] == pytest.approx(total)


def test_masks_by_registration_are_told_as_such_and_not_as_masks_of_signal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = {}
    for kind in ("signal", "template"):
        folder = tmp_path / kind
        (folder / "datasets").mkdir(parents=True)
        about = {
            "label": "Heads",
            "skull_stripped": False,
            "source": {
                **{"kind": "https", "url": "https://example.org/{subject}"},
                "pattern": "{subject}.nii.gz",
            },
            "scan": {"shape": [160, 256, 256], "voxel_size": [1, 1, 1]},
            "split": "heads.tsv",
            "mask": {"kind": kind},
        }
        (folder / "datasets/heads.yaml").write_text(yaml.safe_dump(about))
        (folder / "datasets/heads.tsv").write_text("subject\tsplit\na\ttest\nb\ttest\n")
        config = {**LEAST, "plugins": [str(folder)], "datasets": {"heads": {"roles": ["test"]}}}
        told[kind] = plans.plan(StudyJobs(checked(config)), Costs.load()).stages["data"]
    # A registration of a head takes most of a minute.
    assert told["template"].cpu_seconds > told["signal"].cpu_seconds + 2 * 20
    assert told["template"].guessed == told["signal"].guessed


def test_what_is_not_kept_passes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = read_yaml(CONFIG / "demo.yaml")
    stages = [
        plans.plan(StudyJobs(checked({**config, "keep": keep})), Costs.load()).stages["reconstruct"]
        for keep in (["sr", "segmentation"], [])
    ]
    # One of two test subjects is shown.
    assert stages[0].passing_bytes == 0
    assert stages[1].passing_bytes == pytest.approx(stages[0].kept_bytes / 2)
    assert stages[1].kept_bytes == pytest.approx(stages[0].kept_bytes / 2)


def test_jobs_on_a_gpu_count_by_what_was_recorded_on_one():
    job = Jobs("train", "train_a", "train", "a", 100.0, 0, [["x"]], ["b"], gpu=True)
    cpu = Cost("train", "a", "cpu", "s", 1, 50.0, 1000.4, 800, 0)
    gpu = Cost("train", "a", "NVIDIA A100", "s", 1, 50.0, 10.4, 900, 0)
    assert Costs([cpu]).estimate(job).gpu_seconds is None
    assert Costs([cpu]).estimate(job).seconds == pytest.approx(2000.4)
    both = Costs([cpu, gpu]).estimate(job)
    assert both.gpu_seconds == pytest.approx(20.4) and both.basis == "recorded"
    other = Jobs("train", "train_b", "train", "b", 100.0, 0, [["x"]], ["b"], gpu=True)
    assert Costs([cpu]).estimate(other).basis == "other"


WORK = st.lists(
    st.tuples(st.integers(1, 4), st.floats(0.1, 9), st.sets(st.integers(0, 9))),
    min_size=1,
    max_size=10,
)


def test_a_training_that_time_ends_takes_no_longer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = read_yaml(Path(__file__).parents[3] / "config" / "demo.yaml")
    config["methods"]["srcnn3d"] = {"training": {"epochs": 10**6, "minutes": 2}}
    told = {
        jobs.variant: Costs.load().estimate(jobs).seconds
        for jobs in StudyJobs(checked(config, "config")).jobs
        if jobs.kind == "train"
    }
    assert told["srcnn3d"] == 120
    assert told["arssr_rdn"] != 120


@given(WORK, st.integers(1, 6))
def test_wall_time_lies_between_the_longest_chain_and_one_after_the_other(work, workers):
    todo = [
        (Jobs("data", f"r{i}", "k", "", 1, 1, [[]] * n, [], [f"r{j}" for j in before if j < i],
              f"r{i}"), n, seconds)
        for i, (n, seconds, before) in enumerate(work)
    ]  # fmt: skip
    chain = sum(seconds for _, seconds in plans._critical(todo))
    every = sum(n * seconds for _, n, seconds in todo)
    wall = plans._wall(todo, workers)
    assert max(chain, every / workers) <= wall * (1 + 1e-9)
    assert wall <= every * (1 + 1e-9)
    assert plans._wall(todo, 1) == pytest.approx(every)


def test_the_command_prints_the_stages_and_the_longest_jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call = ["plan", "--configfile", str(CONFIG / "demo.yaml"), "--config", "scales=[2]"]
    done = CliRunner().invoke(app, [*call, "--parallel", "4"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].split()[:2] == ["stage", "jobs"]
    assert [line.split()[0] for line in lines[1:9]] == [*STAGES, "total"]
    assert "train_arssr_rdn x2-4" in done.output and "With 4 jobs at a time" in done.output
    done = CliRunner().invoke(app, [*call, "--config", "scales"])
    assert done.exit_code == 1 and "give key=value" in done.output


def test_the_committed_costs_name_their_device():
    with (FOLDER / "jobs.csv").open() as file:
        assert {row["device"] for row in csv.DictReader(file)} == {"cpu"}


def test_a_2d_study_counts_denoised_targets_and_longer_trainings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = load_study(CONFIG / "coord.yaml")
    found = {jobs.name: jobs for jobs in StudyJobs(study).jobs}
    for split in ("train", "val"):
        targets = found[f"denoise_ds002748_{split} 0.03"]
        assert len(targets.outputs[0]) == len(study.items("ds002748", split))
        assert targets.after == [f"prepare_ds002748_{split}"]
        assert targets.name in found["train_coord x1-2"].after
        assert targets.name not in found["train_conv x2"].after
    longer = found["early_stopping_coord"]
    assert longer.gpu and longer.stage == "train"
    assert longer.name in found["figure_early_stopping_coord"].after
    training = study.methods["coord"].spec["training"]
    steps = training["epochs"] * training["steps_per_epoch"]
    assert longer.size / found["train_coord x1-2"].size == pytest.approx(100_000 / steps)
