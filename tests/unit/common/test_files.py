import pytest

from mrisr.common import seeds
from mrisr.common.files import Staging, atomic, finish, sha256, write_json, write_text
from mrisr.common.layout import Layout, scale_name, trained_name


def test_atomic_leaves_nothing_behind_when_it_fails(tmp_path):
    target = tmp_path / "sub" / "a.nii.gz"
    with pytest.raises(RuntimeError), atomic(target) as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.write_text("half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []


def test_atomic_keeps_the_old_file_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    write_json(target, {"b": 1})
    assert target.read_text() == '{\n  "b": 1\n}\n'


def test_staging_takes_up_finished_items_of_the_same_fingerprint_only(tmp_path):
    finals = [tmp_path / "out" / f"{i}.txt" for i in range(3)]
    staged = Staging(tmp_path / "staging", {"code": 1})
    staged.path(finals[1]).write_text("done")
    assert Staging(tmp_path / "staging", {"code": 1}).pending(finals) == [finals[0], finals[2]]
    assert Staging(tmp_path / "staging", {"code": 2}).pending(finals) == finals
    for final in finals:
        staged.path(final).write_text(final.name)
    staged.commit(finals)
    assert [final.read_text() for final in finals] == ["0.txt", "1.txt", "2.txt"]
    assert not (tmp_path / "staging").exists()


def test_a_staged_item_that_was_damaged_gets_no_final_name(tmp_path, caplog):
    finals = [tmp_path / "out" / f"{i}.txt" for i in range(3)]
    staged = Staging(tmp_path / "staging", 1)
    for final in finals:
        staged.path(final).write_text("whole")
        finish(staged.path(final))
    assert Staging(tmp_path / "staging", 1).pending(finals) == []
    staged.path(finals[1]).write_text("who")
    assert Staging(tmp_path / "staging", 1).pending(finals) == [finals[1]]
    assert "1.txt: damaged since it was staged; making it again" in caplog.text
    assert not staged.path(finals[1]).exists()


def test_sha256(tmp_path):
    write_text(tmp_path / "a", "abc")
    assert sha256(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_seeds_depend_on_every_part():
    assert seeds.seed(1, "a") == seeds.seed(1, "a")
    assert len({seeds.seed(1, "a"), seeds.seed(2, "a"), seeds.seed(1, "b"), seeds.seed("1a")}) == 4
    assert seeds.generator(1, "x").random() == seeds.generator(1, "x").random()


def test_names_of_scales_and_models():
    assert [scale_name(k) for k in (2, 2.0, 2.5, "3")] == ["2", "2", "2.5", "3"]
    assert trained_name([2, 4]) == "x2-4"
    assert trained_name([2.5]) == "x2.5"


def test_logs_and_benchmarks_mirror_the_contract():
    layout = Layout("demo")
    path = layout.metrics("demo", "cubic", 2)
    assert path == "results/demo/metrics/demo/cubic/x2.csv"
    assert layout.log(path) == "results/demo/logs/metrics/demo/cubic/x2.csv.log"
    assert layout.benchmark(path) == "results/demo/benchmarks/metrics/demo/cubic/x2.csv.tsv"
