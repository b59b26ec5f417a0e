"""Every kind of bad and odd input is refused in words, or handled, at both gates alike."""

import re
import tracemalloc

import pytest

from corpus import GOOD, KINDS, ODD, Lab, head
from mrisr.prepare import ground_truth as prepare
from mrisr.volumes.io import load


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def one(text):
    return " ".join(text.split())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_both_gates_say_the_same_about(kind, lab):
    kind.make(lab)
    lab.spec()
    with kind.during(lab):
        refusal = lab.fetch_and_prepare()
        code, output, rows = lab.check("--full")
    assert "Traceback" not in output
    if kind.what is None:
        assert refusal is None
        assert code == 0 and rows[ODD]["status"] == rows[GOOD]["status"] == "fine"
        assert re.search(kind.note or "", rows[ODD]["notes"])
        return
    assert re.search(kind.what, refusal)
    assert re.search(kind.remedy, refusal)
    assert code == 1
    assert re.search(kind.what, one(output))
    assert re.search(kind.remedy, one(output))
    lines = [line.strip() for line in refusal.splitlines() if line.startswith(f"  {ODD}: ")]
    if lines and rows:
        # The good subject is not blamed; the bad one has the same words, and perhaps more.
        assert f"\n  {GOOD}: " not in refusal and rows[GOOD]["status"] == "fine"
        (said,) = lines
        problems = rows[ODD]["problems"].split(" | ")
        assert any(said.endswith(problem) or problem.startswith(said[8:]) for problem in problems)
        assert all("; " in problem for problem in problems)


def test_all_bad_subjects_are_named_together_and_the_good_one_is_kept(lab, monkeypatch):
    chosen = [kind for kind in KINDS if kind.name in ("one NaN", "constant", "one slice")]
    for number, kind in enumerate(chosen, start=2):
        kind.make(lab)
        if number > 2:
            target = lab.path(f"sub-{number:02}")
            target.parent.mkdir(parents=True)
            target.write_bytes(lab.scan.read_bytes())
    lab.spec()
    refusal = lab.fetch_and_prepare()
    assert refusal.startswith("3 of 4 subjects cannot be used:")
    assert len(refusal.splitlines()) == 4
    staged = [path.name for path in (lab.root / "staging").glob("[!.]*")]
    assert sum("sub-01" in name for name in staged) == 2  # ground truth and mask
    assert not (lab.root / "hr").exists()

    # Mended: only these are prepared now.
    for number in range(2, 5):
        lab.write(head(), subject=f"sub-{number:02}")
    loaded = []
    monkeypatch.setattr(prepare, "load_scan", lambda path, form: loaded.append(path) or load(path))
    assert lab.fetch_and_prepare() is None
    assert loaded == [str(lab.path(f"sub-{number:02}")) for number in range(2, 5)]
    assert len(list((lab.root / "hr").iterdir())) == 4


@pytest.mark.parametrize(
    "name", ["header of 30000 x 30000 x 30000", "gzip bomb: 64 MB after the voxels"]
)
def test_lies_about_size_cost_no_memory(name, lab):
    (kind,) = (kind for kind in KINDS if kind.name == name)
    kind.make(lab)
    lab.spec()
    lab.check("--full")  # imports
    tracemalloc.start()
    try:
        code, _, _ = lab.check("--full")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert code == 1
    assert peak < 8e6
