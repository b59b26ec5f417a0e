import numpy as np
import pytest

from mrisr.figures.net_seconds import seconds, where


def job(folder, name, *volumes, device="a CPU, 4 threads", cpu=True):
    """Log and benchmark of a job whose volumes took these seconds."""
    log, benchmark = folder / f"{name}.log", folder / f"{name}.tsv"
    ends = [f", net {v} s" + (f", CPU {4 * v} s" if cpu else "") for v in volumes]
    lines = [f"on {device}", "... 1 of 3", *(f"m: sr/sub-{i}{end}" for i, end in enumerate(ends))]
    log.write_text("".join(f"2026-01-01 00:00:00,000 {line}\n" for line in lines))
    benchmark.write_text("s\tcpu_time\n60\t1\n")
    return {"log": str(log), "benchmark": str(benchmark)}


def test_the_first_volume_of_a_job_is_its_warm_up(tmp_path):
    runs = [job(tmp_path, "a", 9, 1, 2), job(tmp_path, "b", 8, 3)]
    found = seconds({"runs": runs, "volumes": 3})
    np.testing.assert_array_equal(found.volumes, [4, 8, 12])  # of all cores
    assert not found.cold and not found.whole
    assert where(runs[0]) == "a CPU, 4 threads"


def test_on_a_gpu_wall_time_counts(tmp_path):
    run = job(tmp_path, "a", 9, 1, 2, device="NVIDIA H100, 1 thread", cpu=False)
    np.testing.assert_array_equal(seconds({"runs": [run], "volumes": 3}).volumes, [1, 2])
    assert where(run) == "NVIDIA H100, 1 thread"


def test_jobs_of_one_volume_say_that_they_had_no_warm_up(tmp_path):
    runs = [job(tmp_path, "a", 2), job(tmp_path, "b", 3)]
    found = seconds({"runs": runs, "volumes": 1})
    np.testing.assert_array_equal(found.volumes, [8, 12])
    assert found.cold


def test_programs_that_time_no_volume_have_the_benchmark(tmp_path):
    found = seconds({"runs": [job(tmp_path, "a")], "volumes": 3})
    assert found.whole and found.volumes == pytest.approx([20])
    nothing = {"log": str(tmp_path / "no.log"), "benchmark": str(tmp_path / "no.tsv")}
    assert seconds({"runs": [nothing], "volumes": 3}) is None and where(nothing) == ""
