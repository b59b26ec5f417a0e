"""A paragraph on methods to copy into a paper, with its references."""

from collections.abc import Mapping

from mrisr import metrics as metric_modules
from mrisr.common.statistics import FEWEST
from mrisr.common.text import listed
from mrisr.report.headline import measure

#: Packages whose versions belong into a paper: those that numbers depend on.
PACKAGES = ("python", "torch", "numpy", "scipy", "scikit-image", "antspyx", "lpips")
#: Topics of a study's notes that are not about how numbers were made.
LEFT_OUT = ("Degradation", "Seed", "Demo")
#: Regions of metrics in words.
REGIONS = {
    "volume": "over the whole volume",
    "mask": "inside the mask",
    "through_plane": "in slices through the plane",
}
STATISTICS = {
    "t": "Student, The probable error of a mean, Biometrika 1908, doi:10.1093/biomet/6.1.1",
    "wilcoxon": "Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1945,"
    " doi:10.2307/3001968",
    "holm": "Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of"
    " Statistics 1979",
    "equivalence": "Schuirmann, A comparison of the two one-sided tests procedure and the power"
    " approach, Journal of Pharmacokinetics and Biopharmaceutics 1987, doi:10.1007/BF01068419",
}


class _References:
    """References in the order in which the text cites them."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}

    def cite(self, *references: str) -> str:
        numbers = [self.found.setdefault(r, len(self.found) + 1) for r in references if r]
        return f" [{', '.join(map(str, sorted(set(numbers))))}]" if numbers else ""


def methods_text(study_facts: Mapping, manifest: Mapping, summary: str) -> dict:
    """Return a paragraph on how a study was made.

    Args:
        study_facts: See `mrisr.plan.report.study_facts`.
        manifest: See `mrisr.report.manifest.manifest`.
        summary: See `mrisr.report.content.summarise`.

    Returns:
        text, and references: lines that begin with their number.
    """
    references = _References()
    config = study_facts["config"]
    said = [
        summary,
        _methods(study_facts, references),
        _data(study_facts, references),
        *_notes(study_facts["notes"]),
        _metrics(config, references),
        _statistics(study_facts, references),
        _versions(manifest),
    ]
    return {
        "text": " ".join(filter(None, said)),
        "references": [f"[{number}] {text}" for text, number in references.found.items()],
    }


def _methods(study_facts: Mapping, references: _References) -> str:
    named = []
    for method in study_facts["methods"]:
        paper = method["paper"] or {}
        if method["control"] or not paper.get("title"):
            continue
        doi = f", doi:{paper['doi']}" if paper.get("doi") else ""
        named.append(str(method["label"]) + references.cite(f"{paper['title']}{doi}"))
    return f"Methods that follow papers: {listed(named)}." if named else ""


def _data(study_facts: Mapping, references: _References) -> str:
    named = []
    for dataset in study_facts["datasets"]:
        cited = " ".join(
            filter(
                None,
                [
                    str(dataset.get("citation") or "").strip(),
                    f"doi:{dataset['doi']}" if dataset.get("doi") else "",
                ],
            )
        )
        counts = (dataset.get("subjects") or {}).items()
        subjects = ", ".join(f"{count} {split}" for split, count in counts)
        note = f" ({subjects})" if subjects else ""
        kind = ", simulated" if dataset.get("simulated") else ""
        named.append(f"{dataset['label']}{note}{kind}{references.cite(cited)}")
    return f"Subjects: {'; '.join(named)}." if named else ""


def _notes(notes: Mapping[str, str]) -> list[str]:
    return [
        f"{topic}: {str(text).rstrip('.')}."
        for topic, text in notes.items()
        if text and topic not in LEFT_OUT
    ]


def _metrics(config: Mapping, references: _References) -> str:
    named = []
    for name in config.get("metrics") or []:
        about = metric_modules.metadata(name)
        if about.better:
            named.append(about.label + references.cite(f"doi:{about.doi}" if about.doi else ""))
    if not named:
        return ""
    regions = config.get("regions") or ["volume"]
    where = listed([REGIONS.get(region, f"in {region}") for region in regions])
    return f"Image quality was measured by {listed(named)}, {where}."


def _statistics(study_facts: Mapping, references: _References) -> str:
    config = study_facts["config"]
    compared = {c["method"]: c["method_label"] for c in study_facts["cells"] if not c["control"]}
    said = (
        "Values are means and sample standard deviations over test subjects, with Student's t"
        f" intervals (95 %){references.cite(STATISTICS['t'])} from {FEWEST} subjects on."
    )
    if len(compared) < 2:
        return said
    base = compared.get(config["baseline"])
    against = f"with {base}, and with each other," if base else "with each other"
    region = "mask" if "mask" in (config.get("regions") or []) else "volume"
    name = config["primary_metric"]
    region = region if region in metric_modules.metadata(name).regions else "volume"
    return (
        f"{said} Methods were compared {against} subject by subject by Wilcoxon's signed-rank test"
        f"{references.cite(STATISTICS['wilcoxon'])}, adjusted by Holm's method over the study"
        f"{references.cite(STATISTICS['holm'])}; the primary metric was {measure((name, region))}."
        " Equivalence was tested by two one-sided t tests within each metric's margin"
        f"{references.cite(STATISTICS['equivalence'])}."
    )


def _versions(manifest: Mapping) -> str:
    versions = manifest["versions"]
    used = [f"{name} {versions[name]}" for name in PACKAGES if versions.get(name)]
    commit = f", commit {manifest['commit']}" if manifest["commit"] else ""
    return (
        f"All of it was computed by mrisr {manifest['mrisr']}{commit} with seed"
        f" {manifest['seed']} ({', '.join(used)})."
    )
