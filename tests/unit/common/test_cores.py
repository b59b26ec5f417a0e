"""Cores: affinity, a container's share of time, and what the user says."""

import os

import pytest

from mrisr.common import cores


@pytest.fixture
def group(tmp_path, monkeypatch):
    """Lay out control groups: `group("0::/box/inner", {"box/cpu.max": "150000 100000"})`."""

    def lay(lines, files, machine=8):
        (tmp_path / "own").write_text(lines + "\n")
        for name, text in files.items():
            (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "groups" / name).write_text(text + "\n")
        monkeypatch.setattr(cores, "OWN_GROUP", tmp_path / "own")
        monkeypatch.setattr(cores, "CGROUPS", tmp_path / "groups")
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(machine)), raising=False)
        return cores.available()

    return lay


@pytest.mark.parametrize(
    ("lines", "files", "expected"),
    [
        ("0::/", {}, 8),
        ("0::/box/inner", {"box/inner/cpu.max": "max 100000"}, 8),
        ("0::/box/inner", {"box/inner/cpu.max": "300000 100000", "cpu.max": "max 100000"}, 3),
        ("0::/box/inner", {"box/cpu.max": "150000 100000"}, 2),  # a share is rounded up
        ("0::/of/the/host", {"cpu.max": "50000 100000"}, 1),  # as it looks inside a container
        ("0::/", {"cpu.max": "9900000 100000"}, 8),
        (
            "3:memory:/box\n2:cpu,cpuacct:/box",
            {
                "cpu,cpuacct/box/cpu.cfs_quota_us": "400000",
                "cpu,cpuacct/box/cpu.cfs_period_us": "100000",
            },
            4,
        ),
        (
            "2:cpu:/box",
            {"cpu/box/cpu.cfs_quota_us": "-1", "cpu/box/cpu.cfs_period_us": "100000"},
            8,
        ),
    ],
)
def test_a_share_of_time_counts(group, lines, files, expected):
    assert group(lines, files) == expected


def test_affinity_counts_and_a_system_without_groups(group, monkeypatch, tmp_path):
    assert group("0::/", {}, machine=3) == 3
    monkeypatch.setattr(cores, "OWN_GROUP", tmp_path / "none")
    assert cores.available() == 3


@pytest.mark.parametrize(
    ("said", "threads"), [("2", 2), ("6,2", 6), ("", 3), ("0", 3), ("many", 3), (None, 3)]
)
def test_the_users_word_counts_more(group, monkeypatch, said, threads):
    group("0::/", {}, machine=3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert cores.wanted() == threads


def test_threads_sleep_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("KMP_BLOCKTIME", "")
    monkeypatch.delenv("KMP_BLOCKTIME")
    cores.let_others_work()
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["KMP_BLOCKTIME"]) == ("ACTIVE", "0")
