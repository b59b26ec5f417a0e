"""Threads, memory and time that each kind of job asks for; the rules and the bill read it.

Training and reconstruction ask for what their method's `method.yaml` says.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Request:
    """What a job asks for.

    Attributes:
        threads: CPU threads.
        memory_mb: Memory in MB.
        minutes: Time after which a cluster may end the job.
    """

    threads: int
    memory_mb: int
    minutes: int

    @property
    def resources(self) -> dict[str, int]:
        """Values for `resources` of a rule."""
        return {"mem_mb": self.memory_mb, "runtime": self.minutes}


#: Requests by kind of job, see `mrisr.plan.job_list.Jobs`. Jobs that run ANTs have one thread: with
#: more, ANTs does not give the same bytes twice.
REQUESTS = {
    "fetch": Request(4, 4000, 1440),
    "fetch_lesions": Request(1, 4000, 240),
    "fetch_priors": Request(1, 4000, 60),
    "prepare": Request(4, 12000, 240),
    "prepare_real": Request(1, 8000, 120),
    "prepare_stacks": Request(1, 8000, 240),
    "prepare_reference": Request(1, 8000, 240),
    "degrade": Request(2, 8000, 120),
    "denoise": Request(8, 8000, 120),
    "import": Request(1, 4000, 10),
    "ground_truth_scores": Request(4, 8000, 240),
    "evaluate": Request(4, 8000, 240),
    "align": Request(1, 8000, 90),
    "segment": Request(1, 8000, 60),
    "segment_with_registration": Request(1, 8000, 120),
    "overlap": Request(1, 4000, 60),
    "reader_pairs": Request(1, 4000, 30),
    "table": Request(1, 2000, 10),
    "figure": Request(1, 4000, 20),
    "report": Request(1, 4000, 10),
}
#: Jobs whose threads wait for servers, and change no number.
DOWNLOADS = ("fetch",)


def requests(deterministic: bool) -> dict[str, Request]:
    """Return the requests by kind of job; in a deterministic study with one thread on any machine.

    With more threads, sums are taken in another order, and their last digits differ.
    """
    if not deterministic:
        return REQUESTS
    return {
        kind: asked if kind in DOWNLOADS else replace(asked, threads=1)
        for kind, asked in REQUESTS.items()
    }
