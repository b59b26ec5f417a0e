"""Several trainings of a method: means over seeds, and the two spreads."""

import numpy as np
import pytest

from mrisr.common.errors import InputError
from mrisr.evaluate.measured import read_rows
from mrisr.evaluate.outliers import subject_values
from mrisr.tables.quality import quality_table
from mrisr.tables.significance import significance_table

N = 8


@pytest.fixture
def cells(tmp_path):
    """Return the cells of cubic and of a network that is trained three times."""

    def make(trainings, subjects=N, **more):
        def file(name, values):
            path = tmp_path / f"{name}.csv"
            lines = [f"sub-{i},psnr,volume,{value!r}" for i, value in enumerate(values)]
            path.write_text("\n".join(["subject,metric,region,value", *lines]) + "\n")
            return str(path)

        shared = {"dataset": "d", "dataset_label": "Demo", "scale": 2, "skipped": None}
        shared |= {"control": False, "published_steps": None, "model": None}
        cubic = list(map(float, 30 + np.arange(subjects)))
        first, *others = [file(f"net-{i}", list(v)) for i, v in enumerate(trainings)]
        return [
            {**shared, "method": "cubic", "method_label": "Cubic", "learned": False}
            | {"path": file("cubic", cubic)},
            {**shared, "method": "net", "method_label": "Net", "learned": True, "path": first}
            | {"repeats": [{"path": path, "model": None} for path in others], **more},
        ]

    return make


def values(seeds=3, subjects=N, seed=0):
    random = np.random.default_rng(seed)
    of_subject = 31 + np.arange(subjects) + random.normal(0, 0.3, subjects)
    return of_subject + random.normal(0, 0.5, (seeds, 1)) + random.normal(0, 0.1, (seeds, subjects))


def test_subjects_are_the_sample_and_seeds_are_averaged_first(cells):
    measured = values()
    table = quality_table(cells(measured.tolist()), baseline="cubic")
    row = table.frame[table.frame["method"] == "net"].iloc[0]
    of_subjects, of_seeds = measured.mean(axis=0), measured.mean(axis=1)
    assert (row["n"], row["seeds"]) == (N, 3)
    assert row["mean"] == pytest.approx(measured.mean())
    assert row["std"] == pytest.approx(of_subjects.std(ddof=1))
    assert row["std_seeds"] == pytest.approx(of_seeds.std(ddof=1))
    half = 2.3646 * of_subjects.std(ddof=1) / np.sqrt(N)  # t of 7 degrees of freedom
    assert row["ci_high"] - row["mean"] == pytest.approx(half, rel=1e-4)
    cubic = table.frame[table.frame["method"] == "cubic"].iloc[0]
    assert cubic["seeds"] == 1 and np.isnan(cubic["std_seeds"])
    markdown = table.markdown()
    assert "Net (3 seeds)" in markdown and "Cubic (" not in markdown
    assert f"; ± {of_seeds.std(ddof=1):.2f}*" in markdown
    assert "3 times: Net at 2×" in markdown and "n counts subjects" in markdown


def test_tests_are_of_the_mean_over_seeds(cells):
    measured = values()
    several = significance_table(cells(measured.tolist()), seed=1, baseline="cubic")
    alone = significance_table(cells([measured.mean(axis=0).tolist()]), seed=1, baseline="cubic")
    for column in ("n", "difference", "ci_low", "ci_high", "p"):
        assert several.frame[column][0] == pytest.approx(alone.frame[column][0])
    assert "Net (3 seeds)" in several.markdown() and "(3 seeds)" not in alone.markdown()


def test_each_subject_has_one_value_in_the_report(cells):
    measured = values()
    found = subject_values(cells(measured.tolist()))
    shown = found[found["method"] == "net"].set_index("subject")["value"]
    assert shown.loc["sub-3"] == pytest.approx(measured[:, 3].mean())
    assert len(shown) == N


def test_trainings_that_are_not_there_yet_are_told(cells):
    measured = values(seeds=2)
    found = cells(measured.tolist())
    found[1]["repeats"].append({"path": "nowhere.csv", "model": None})
    table = quality_table(found, baseline="cubic")
    row = table.frame[table.frame["method"] == "net"].iloc[0]
    assert row["seeds"] == 2 and "2 of 3 trainings measured" in row["note"]
    assert "Only 2 of 3 trainings measured so far: Net at 2×." in table.footnotes


def test_trainings_with_other_subjects_are_refused(cells):
    found = cells(values(seeds=1).tolist())
    other = cells(values(seeds=2, subjects=N + 1).tolist())[1]["repeats"][0]["path"]
    found = cells(values(seeds=1).tolist())
    found[1]["repeats"] = [{"path": other, "model": None}]
    with pytest.raises(InputError, match=r"net-1\.csv: other subjects than in .*net-0\.csv"):
        read_rows(found)


def test_one_collapsed_training_marks_the_row(cells):
    found = cells(values(seeds=2).tolist(), model={"steps": 10, "collapsed": False})
    found[1]["repeats"][0]["model"] = {"steps": 12, "collapsed": True}
    table = quality_table(found, baseline="cubic")
    assert "Net (2 seeds)‡" in table.markdown()
    assert any("Trained for 10 to 12 steps" in note for note in table.footnotes)
