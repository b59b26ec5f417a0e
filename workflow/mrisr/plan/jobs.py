"""The jobs of a study as the rules make them, with the work of each; without Snakemake."""

from functools import cached_property

from mrisr.plan.cell_jobs import add_metrics, add_reconstruction, add_segmentation
from mrisr.plan.data_jobs import add_data, add_degradation
from mrisr.plan.job_list import JobList, Jobs
from mrisr.plan.job_sizes import JobSizes
from mrisr.plan.table_jobs import add_tables
from mrisr.plan.training_jobs import add_training

#: Stages in the order of the table.
STAGES = ("data", "degrade", "train", "reconstruct", "evaluate", "segment", "tables")


class StudyJobs(JobSizes):
    """All jobs of a study, and their sizes.

    Attributes:
        study: The study.
    """

    @cached_property
    def jobs(self) -> list[Jobs]:
        """The jobs, each after the jobs that it waits for."""
        jobs = JobList(self.study, self)
        add_data(jobs)
        add_degradation(jobs)
        add_training(jobs)
        add_reconstruction(jobs)
        add_metrics(jobs)
        if self.study.segmentation is not None:
            add_segmentation(jobs)
        add_tables(jobs)
        return jobs.found
