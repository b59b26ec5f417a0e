"""What a run says at its end: where the report is, how long it took, and what to do next."""

from pathlib import Path

from mrisr.common.layout import RESULTS
from mrisr.common.text import duration
from mrisr.study import inherit

NEXT = (
    "Next: `mrisr new dataset NAME --from FOLDER` takes scans of your own, `mrisr new study NAME`"
    " writes their study."
)


def ending(report: str | Path, start: float, end: float) -> str:
    """Return the last words of a run of Snakemake.

    Args:
        report: The study's page, which may not be there: then only some files were asked for.
        start: When the run began, seconds since the epoch.
        end: When it ended.
    """
    report, took = Path(report), duration(end - start)
    if not report.exists() or report.stat().st_mtime < start:
        return (
            f"Done in {took}, without a new report: only some files were asked for. Results are in"
            f" {report.parent}/; `mrisr partial` makes a page of what is there."
        )
    return (
        f"Done in {took}. The report is {report}: open it in a browser. Tables are in"
        f" {report.parent / 'tables'}/. {NEXT}"
    )


def up_to_date(report: str | Path) -> str:
    """Return what is said of a report for which nothing had to run."""
    return f"The report is up to date: {report}. Open it in a browser."


def report_of(config: str | Path) -> Path:
    """Return the page of the study that a config describes; raises ConfigError."""
    study = inherit.read(config).content.get("study")
    return Path(RESULTS) / str(study) / "report.html"
