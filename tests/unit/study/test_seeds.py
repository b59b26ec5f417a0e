"""`seeds`: methods that a study trains several times."""

import pytest

from mrisr.common.errors import ConfigError
from mrisr.plan import cells as summary
from mrisr.plan.figures import figures
from mrisr.plan.jobs import StudyJobs
from mrisr.plan.state import DONE, RUNNING, STOPPED, state
from mrisr.plan.study_files import StudyFiles
from mrisr.plan.tables import tables
from mrisr.study.load import checked

STUDY = {
    "study": "demo",
    "seed": 1,
    "preset": "demo",
    "datasets": {"demo": None},
    "scales": [2],
    "degradation": {"kind": "volume"},
    "methods": {"cubic": None, "srcnn3d": None, "arssr_rdn": {"seeds": 1}},
    "metrics": ["psnr"],
    "baseline": "cubic",
}
NET = {"cubic": None, "srcnn3d": None}


def test_the_first_training_is_the_one_of_a_study_without_seeds():
    once, again = checked(STUDY), checked({**STUDY, "seeds": 3})
    before, after = once.methods["srcnn3d"], again.methods["srcnn3d"]
    assert once.seed_of(before) == again.seed_of(after) == again.seed
    parts = "input", "network", "coordinates", "model", "training"
    assert before.pack(*parts) == after.pack(*parts)
    assert set(StudyFiles(once).models()) < set(StudyFiles(again).models())
    assert {job.name for job in StudyJobs(once).jobs} < {job.name for job in StudyJobs(again).jobs}


def test_further_trainings_have_seeds_and_files_of_their_own():
    study = checked({**STUDY, "seeds": 3})
    first, *further = study.trainings(study.methods["srcnn3d"])
    assert [method.name for method in further] == ["srcnn3d_seed2", "srcnn3d_seed3"]
    assert len({study.seed_of(method) for method in (first, *further)}) == 3
    assert study.seed_of(further[0]) != checked({**STUDY, "seed": 2, "seeds": 3}).seed_of(
        further[0]
    )
    # The seed alone differs: it decides the start and the draws of a training.
    assert further[0].pack("training") == first.pack("training")
    # Settings of a method replace those of the study; what learns nothing is not repeated.
    assert len(study.trainings(study.methods["arssr_rdn"])) == 1
    assert len(study.trainings(study.methods["cubic"])) == 1
    assert list(study.all_trainings) == [
        *("cubic", "srcnn3d", "srcnn3d_seed2", "srcnn3d_seed3", "arssr_rdn"),
    ]


def test_tables_wait_for_all_trainings_and_pictures_for_the_first():
    study = checked({**STUDY, "seeds": 2, "methods": NET})
    further = study.layout.metrics("demo", "srcnn3d_seed2", "2")
    shown = [cell.method for cell in summary.table_cells(study)]
    assert shown == ["cubic", "srcnn3d"]
    for table in tables(study):
        assert further in table.inputs, table.name
    by_kind = {figure.kind: figure for figure in figures(study)}
    again = study.layout.model("srcnn3d_seed2", "x2")
    assert further in by_kind["quality"].inputs
    assert f"{again}/log.csv" in by_kind["training_curves"].inputs
    for kind in ("comparison", "profile"):
        assert not any("seed2" in file for file in by_kind[kind].inputs)
    assert {"seeds": 2}.items() <= by_kind["comparison"].params["cells"][-1].items()


def test_added_jobs_are_counted_and_priced_as_the_first():
    found = {job.name: job for job in StudyJobs(checked({**STUDY, "seeds": 2})).jobs}
    for name in ("train_{} x2", "reconstruct_{}_demo 2"):
        first, again = found[name.format("srcnn3d")], found[name.format("srcnn3d_seed2")]
        assert (first.size, first.variant) == (again.size, again.variant)
        assert not {*map(tuple, first.outputs)} & {*map(tuple, again.outputs)}
    assert "train_srcnn3d_seed2 x2" in found["reconstruct_srcnn3d_seed2_demo 2"].after
    assert "evaluate_demo srcnn3d_seed2 2" in found["quality_table"].after


def test_a_network_of_one_subject_is_repeated_where_its_own_settings_say_so():
    stacks = {**STUDY, "degradation": {"kind": "stacks"}, "seeds": 2}
    stacks |= {"baseline": "srr", "methods": {"irem": {"seeds": 3}, "srr": None}}
    with pytest.raises(ConfigError, match="seeds: no method of this study is trained on a"):
        checked(stacks)
    del stacks["seeds"]
    study = checked(stacks)
    names = {job.rule for job in StudyJobs(study).jobs}
    assert {"train_irem_demo", "train_irem_seed2_demo", "train_irem_seed3_demo"} <= names
    (cell,) = [cell for cell in summary.table_cells(study) if cell.method == "irem"]
    assert [len(repeat["model"]) for repeat in cell.repeats] == [len(cell.model)] * 2


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        ({"cubic": {"seeds": 2}}, "seeds: it learns nothing, so that every seed gives the same;"),
        (
            {"cubic_residual": {"model": "shipped", "seeds": 2}},
            "seeds: its weights were made elsewhere, so that nothing is trained here; leave it out",
        ),
        (
            {"srcnn3d": {"seeds": 2}, "srcnn3d_seed2": {"base": "srcnn3d"}},
            "methods.srcnn3d_seed2: is also the name of training 2 of srcnn3d",
        ),
        ({"srcnn3d": {"seeds": 0}}, "seeds"),
    ],
)
def test_seeds_are_refused_where_they_make_no_sense(methods, said):
    with pytest.raises(ConfigError, match=said):
        checked({**STUDY, "methods": {"cubic": None, **methods}})


def test_a_cell_is_done_when_all_trainings_are_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = checked({**STUDY, "seeds": 2, "methods": NET})

    def found():
        return {cell.method.name: said for cell, said in state(study).cells}["srcnn3d"]

    for method, wanted in (("srcnn3d", {RUNNING, STOPPED}), ("srcnn3d_seed2", {DONE})):
        file = tmp_path / study.layout.metrics("demo", method, "2")
        file.parent.mkdir(parents=True)
        file.touch()
        log = tmp_path / study.layout.log(study.layout.model("srcnn3d_seed2", "x2"))
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        assert found() in wanted
