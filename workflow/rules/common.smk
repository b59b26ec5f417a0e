# The study, its paths, and functions that the rules share; no rules here.
import json
import sys
from itertools import chain, product
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import update_config

# Scripts and jobs import the package from this checkout, installed or not.
sys.path.insert(0, str(PACKAGE))

from mrisr import metrics
from mrisr.common import assets, given_files
from mrisr.common.environment import export_package
from mrisr.common.errors import MrisrError
from mrisr.common.layout import FIGURE_SUFFIXES, TABLE_SUFFIXES, scale_name
from mrisr.common.locks import claim
from mrisr.common.optional_packages import BM3D_LACKING, has_bm3d
from mrisr.common.provenance import code_digest
from mrisr.common.schema import read_yaml, typed
from mrisr.common.storage import check_replaceable, check_writable
from mrisr.data import finding
from mrisr.plan import cells
from mrisr.plan import figures as figure_plan
from mrisr.plan import report as report_plan
from mrisr.plan import tables as table_plan
from mrisr.plan.ending import ending
from mrisr.plan.kept_files import EVERYONE, Keep
from mrisr.plan.resources import requests
from mrisr.plan.study_files import StudyFiles
from mrisr.segment import priors
from mrisr.study import inherit, readers_key
from mrisr.study.load import checked_written

export_package()

ENV, BM3D_ENV = "../../envs/mrisr.yaml", "../../envs/bm3d.yaml"
CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


# A module of another workflow has the config that it is given; `--config` is that workflow's.
MODULE = None if workflow.modifier.is_main_snakefile() else workflow.modifier.namespace
if MODULE is None:
    update_config(config, typed(workflow.config_settings.overwrite_config))
    WHERE = ", ".join(map(str, workflow.configfiles)) or "config"
else:
    WHERE = f"module {MODULE}: config"
    if workflow.modifier.path_modifier.prefix or workflow.modifier.path_modifier.modifies_prefixes:
        raise WorkflowError(
            f"module {MODULE}: take `prefix` out: files are where results/README.md says, below"
            " results/<study>; give the module's config another `study` to have them elsewhere"
        )
try:
    # Snakemake's own reader takes a key twice, and the last one counts.
    for CONFIGFILE in workflow.configfiles if MODULE is None else []:
        read_yaml(CONFIGFILE)
    if MODULE is None and "base" in config:
        # Snakemake has laid `--config` over already, which removes nothing of a base.
        CONFIG = inherit.together(
            workflow.configfiles, typed(dict(workflow.config_settings.config))
        )
    else:
        CONFIG = inherit.resolved(
            config, WHERE, [Path(file).parent for file in workflow.configfiles]
        )
    STUDY = checked_written(CONFIG, WHERE)
    metrics.add(STUDY.plugins)  # for the scripts of jobs
    # Scans of a local folder that are missing are named before anything runs.
    LOCAL_FILES = {
        (name, split): [str(path) for path in dataset.local_files(split).values()]
        for name, dataset in STUDY.datasets.items()
        for split in STUDY.splits(name)
    }
    LOCAL_REFERENCES = {
        name: [str(path) for path in dataset.reference.local_files("test").values()]
        for name, dataset in STUDY.datasets.items()
        if dataset.reference and name in STUDY.real_datasets
    }
    LOCAL_MASKS = {
        (name, split): [str(path) for path in dataset.mask_files(split).values()]
        for name, dataset in STUDY.datasets.items()
        for split in STUDY.splits(name)
    }
    if STUDY.segmentation is not None:
        finding.check_literal(STUDY.segmentation["priors"])
    LOCAL_PRIORS = (
        [str(path) for path in priors.local_files(STUDY.segmentation["priors"])]
        if STUDY.segmentation is not None
        else []
    )
except MrisrError as error:
    raise WorkflowError(str(error)) from None

LAYOUT = STUDY.layout
REQUESTS = requests(STUDY.deterministic)
# Among the params of what may have several threads: Snakemake does not look at threads.
ONE_THREAD = {"deterministic": True} if STUDY.deterministic else {}
# Of studies of thick slices alone: another param would run the jobs of all others again.
SLICE_AXIS = {} if STUDY.slice_axis is None else {"slice_axis": STUDY.slice_axis}
KEEP = Keep(STUDY)
FILES = StudyFiles(STUDY)

# A dry-run shows what would run, with as many subjects as there will be; anything else stops.
UNLISTED = [dataset.lacking for dataset in STUDY.datasets.values() if dataset.placeholders]
if UNLISTED:
    logger.warning("\n".join(["Subjects are placeholders, good for a dry-run alone:", *UNLISTED]))

# BM3D is for its users to install (its licence); with conda it comes from the rule's environment.
DENOISED = [method.name for method in STUDY.supervised if method.denoising]
if DENOISED and not CONDA and not has_bm3d():
    UNINSTALLED = [f"methods.{', '.join(DENOISED)}: {BM3D_LACKING}"]
    logger.warning(UNINSTALLED[0])
else:
    UNINSTALLED = []


onstart:
    if UNLISTED or UNINSTALLED:
        raise WorkflowError("\n".join([*UNLISTED, *UNINSTALLED]))
    try:
        check_writable(LAYOUT.root)
        check_replaceable(f"{LAYOUT.root}/logs", f"{LAYOUT.root}/benchmarks")
        claim(LAYOUT.root, LAYOUT.staging("running"), Path.cwd())
    except MrisrError as error:
        raise WorkflowError(str(error)) from None


wildcard_constraints:
    scale=r"\d+(\.\d+)?",
    sigma=r"\d+(\.\d+)?",
    method="|".join(STUDY.all_trainings),
    subject=finding.SUBJECT,


def preparation_code(dataset):
    """Modules that make the ground truth of a dataset; brains are only looked for in heads."""
    found = dataset.spec["mask"]["kind"] == "template"
    return ["mrisr.prepare.ground_truth", *(["mrisr.volumes.brain"] if found else [])]


def grid_file(wildcards):
    """The file on whose grid an SR volume is written, for rules of external methods."""
    return FILES.grid(wildcards.dataset, wildcards.subject, wildcards.scale)


def reconstructed(dataset):
    """What metrics wait for: the reconstructions of a method and scale, or their list."""

    def found(wildcards):
        method, scale = STUDY.all_trainings[wildcards.method], wildcards.scale
        if in_one_job(method):
            return [LAYOUT.sr_list(dataset, method.name, scale)]
        return FILES.sr(dataset, method.name, scale)

    return found


def in_one_job(method):
    """Say whether one job reconstructs all of a dataset, for good, and lists them."""
    return method.granularity == "dataset" and not method.rules and KEEP.all("sr")


def metric_candidates(metric):
    """Files that a metric's fetch would look at, once it has said that it found none."""
    said = Path(LAYOUT.metric_file(metric))
    if not said.exists():
        return []
    said = json.loads(said.read_text())
    if said["available"]:
        return said["offered"]
    return STUDY.metrics.module(metric).candidates(
        STUDY.metric_settings[metric], STUDY.config["downloads"]
    )


def shared_features():
    """Metrics whose features of the ground truth are computed once for all methods and scales."""
    return [
        metric
        for metric in STUDY.metrics_with("features")
        if STUDY.metric_settings[metric]["share_features"]
    ]


def evaluation_params(dataset):
    """What metrics are taken, and how."""
    return {
        "subjects": STUDY.items(dataset, "test"),
        "metrics": STUDY.config["metrics"],
        "regions": STUDY.config["regions"],
        "settings": {
            name: STUDY.metrics.parameters(name, its) for name, its in STUDY.metric_settings.items()
        },
        "empty_slices": STUDY.config["empty_slices"],
        **SLICE_AXIS,
        **ONE_THREAD,
        "code": code_digest(
            "mrisr.evaluate.subjects",
            *(STUDY.metrics.source(name) for name in STUDY.config["metrics"]),
        ),
    }


def reconstruction_output(method, dataset):
    """SR files of one job."""
    if method.granularity == "subject":
        return LAYOUT.sr(dataset, method.name, "{scale}", "{subject}")
    return [
        file if KEEP.stays("sr", dataset, item) else temp(file)
        for item in STUDY.items(dataset, "test")
        for file in [LAYOUT.sr(dataset, method.name, "{scale}", item)]
    ]


def marked(part, files):
    """Files of a `mrisr.plan.kept_files.Part`: those that do not stay are temporary."""
    return files if part.stays else temp(files)


# Files that were replaced and have been named already.
REPLACED = set()


def given(path, files):
    """Where it is recorded which of a user's files `path` was made of, and what they are now.

    A parameter of the rule, so that it runs again for a scan that is older than the one it was
    made of, or a link that leads elsewhere.
    """

    def found(wildcards):
        record, target, *names = (
            name.format(**dict(wildcards.items())) for name in [LAYOUT.made_of(path), path, *files]
        )
        basis, replaced = given_files.basis(record, names, refresh=workflow.is_main_process)
        for name in set(replaced) - REPLACED if workflow.is_main_process else ():
            REPLACED.add(name)
            logger.warning(given_files.warning(name, target))
        return [record, basis]

    return found
