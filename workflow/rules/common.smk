# The study, its paths, and functions that the rules share; no rules here.
import json
import sys
from collections import namedtuple
from itertools import product
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import update_config

# Scripts and jobs import the package from this checkout, installed or not.
sys.path.insert(0, str(PACKAGE))

from mrisr import metrics
from mrisr.common import assets
from mrisr.common.environment import export_package
from mrisr.common.errors import MrisrError
from mrisr.common.layout import FIGURE_SUFFIXES, TABLE_SUFFIXES, scale_name
from mrisr.common.optional_packages import BM3D_LACKING, has_bm3d
from mrisr.common.provenance import code_digest
from mrisr.common.schema import read_yaml, typed
from mrisr.common.storage import check_writable
from mrisr.data import finding
from mrisr.data.fixed_stack import fixed_stack
from mrisr.plan import cells
from mrisr.plan import figures as figure_plan
from mrisr.plan import report as report_plan
from mrisr.plan import tables as table_plan
from mrisr.plan.kept_files import Keep
from mrisr.plan.resources import REQUESTS
from mrisr.segment import priors
from mrisr.study import readers_key
from mrisr.study.load import checked

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
    STUDY = checked(config, WHERE)
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
KEEP = Keep(STUDY)

# A dry-run shows what would run, with as many subjects as there will be; anything else stops.
UNLISTED = [dataset.lacking for dataset in STUDY.datasets.values() if dataset.unlisted]
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
    except MrisrError as error:
        raise WorkflowError(str(error)) from None


wildcard_constraints:
    scale=r"\d+(\.\d+)?",
    sigma=r"\d+(\.\d+)?",
    method="|".join(STUDY.methods),
    subject=finding.SUBJECT,


def preparation_code(dataset):
    """Modules that make the ground truth of a dataset; brains are only looked for in heads."""
    found = dataset.spec["mask"]["kind"] == "template"
    return ["mrisr.prepare.ground_truth", *(["mrisr.volumes.brain"] if found else [])]


def hr_files(dataset, split):
    """Ground truths of a split."""
    return [LAYOUT.hr(dataset, item) for item in STUDY.items(dataset, split)]


def mask_files(dataset, split):
    """Masks of a split."""
    return [LAYOUT.mask(dataset, item) for item in STUDY.items(dataset, split)]


def denoised_files(method, split):
    """Denoised slices of a split of the training set; empty if a method's loss needs none."""
    if not method.denoising:
        return []
    items = STUDY.items(STUDY.train_dataset, split)
    sigma = scale_name(method.denoising["sigma"])
    return [LAYOUT.denoised(STUDY.train_dataset, sigma, item) for item in items]


def lr_files(dataset, scale="{scale}", items=None):
    """LR files of a dataset's test items at a scale; three an item if the study has stacks."""
    items = STUDY.items(dataset, "test") if items is None else items
    return [
        LAYOUT.lr(dataset, scale, name) for item in items for name in STUDY.inputs(dataset, item)
    ]


def grid_files(dataset, scale="{scale}", items=None):
    """SR grids of a dataset's real LR scans."""
    items = STUDY.items(dataset, "test") if items is None else items
    return [LAYOUT.foreground_on_sr_grid(dataset, scale, item) for item in items]


def stack_masks(dataset, scale="{scale}", items=None):
    """Where real stacks are data; nothing for simulated ones and volumes."""
    if not STUDY.datasets[dataset].stacked:
        return []
    items = STUDY.items(dataset, "test") if items is None else items
    return grid_files(dataset, scale, [n for item in items for n in STUDY.inputs(dataset, item)])


def of_subject(files, dataset):
    """What `files` gives for one subject: its number of real stacks is its own."""
    if STUDY.datasets[dataset].stacked:
        return lambda wildcards: files(dataset, wildcards.scale, [wildcards.subject])
    return files(dataset, items=["{subject}"])


def grid_file(wildcards):
    """The file on whose grid an SR volume is written, for rules of external methods."""
    if STUDY.datasets[wildcards.dataset].has_ground_truth:
        return LAYOUT.hr(wildcards.dataset, wildcards.subject)
    return LAYOUT.foreground_on_sr_grid(wildcards.dataset, wildcards.scale, wildcards.subject)


def fixed_files(dataset):
    """The LR scans that HR references are moved to: of stacks, the one that stays."""
    scale, its = scale_name(STUDY.scales(dataset)[0]), STUDY.datasets[dataset]
    found = []
    for item in STUDY.items(dataset, "test"):
        names, asked = STUDY.inputs(dataset, item), its.spec["stacks"]["fixed"]
        number = fixed_stack(asked, len(names), STUDY.seed, item) if its.stacked else 1
        found += names[number - 1 :][:1]
    return [LAYOUT.lr(dataset, scale, name) for name in found]


def reference_files(dataset):
    """HR references of a dataset's real LR scans; empty if it has none."""
    items = STUDY.items(dataset, "test") if STUDY.datasets[dataset].reference else []
    return [LAYOUT.hr_reference(dataset, item) for item in items]


def reference_mask_files(dataset):
    """Foregrounds of the HR references."""
    return [LAYOUT.hr_reference_foreground(dataset, item) for item in STUDY.items(dataset, "test")]


def checked_files():
    """What is made of every scan of the study before anything is trained."""
    return [
        file
        for dataset, its in STUDY.datasets.items()
        for split in STUDY.splits(dataset)
        for file in (
            [LAYOUT.hr_list(dataset, split)]
            if its.has_ground_truth
            else [
                *reference_files(dataset),
                *[f for k in STUDY.scales(dataset) for f in lr_files(dataset, scale_name(k))],
            ]
        )
    ]


def split_lists():
    """By split, the lists of all its raw scans and ground truths."""
    found = {}
    for dataset, its in STUDY.datasets.items():
        for split in STUDY.splits(dataset):
            lists = found.setdefault(split, [])
            lists.append(LAYOUT.sources(dataset, split))
            if its.has_ground_truth:
                lists.append(LAYOUT.hr_list(dataset, split))
    return found


def sr_files(dataset, method, scale):
    """Reconstructions of a dataset's test items."""
    return [LAYOUT.sr(dataset, method, scale, item) for item in STUDY.items(dataset, "test")]


def reconstructed(dataset):
    """What metrics wait for: the reconstructions of a method and scale, or their list."""

    def found(wildcards):
        method, scale = STUDY.methods[wildcards.method], wildcards.scale
        if in_one_job(method):
            return [LAYOUT.sr_list(dataset, method.name, scale)]
        return sr_files(dataset, method.name, scale)

    return found


def in_one_job(method):
    """Say whether one job reconstructs all of a dataset, for good, and lists them."""
    return method.granularity == "dataset" and not method.rules and KEEP.all("sr")


def model_files():
    """Models of the training set, and models made per subject."""
    shared = [
        LAYOUT.model_file("model.safetensors", method.name, trained)
        for method, trained in STUDY.models()
    ]
    own = [
        LAYOUT.model_file(
            "model.safetensors",
            cell.method.name,
            cell.method.trained(scale_name(cell.scale)),
            cell.dataset,
            item,
        )
        for cell in STUDY.cells()
        if cell.method.per_subject and not cell.skipped
        for item in STUDY.items(cell.dataset, "test")
    ]
    return shared + own


def imported_files():
    """Models whose weights were made elsewhere."""
    return [
        LAYOUT.model_file("model.safetensors", method.name, trained)
        for method, trained in STUDY.models()
        if method.imported
    ]


def trained_file(name, method):
    """A file of a method's model, with the wildcard scale if there is a model a scale."""
    return LAYOUT.model_file(name, method.name, method.trained())


def subject_file(name, method, dataset):
    """A file of a model that is made for one subject."""
    return LAYOUT.model_file(name, method.name, method.trained(), dataset, "{subject}")


def model_of(method, dataset):
    """The model that reconstructs, as a list with wildcards; empty for methods without."""
    if not method.learned or method.kind == "external":
        return []
    if method.per_subject:
        return [subject_file("model.safetensors", method, dataset)]
    return [trained_file("model.safetensors", method)]


def metrics_files(cells):
    """Per-subject metrics of the cells that are not skipped."""
    return [
        LAYOUT.metrics(cell.dataset, cell.method.name, scale_name(cell.scale))
        for cell in cells
        if not cell.skipped
    ]


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


def fetched_metrics():
    """What the metrics that need a file from the network said about it."""
    return [LAYOUT.metric_file(metric) for metric in STUDY.metrics_with("fetch")]


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
        "code": code_digest(
            "mrisr.evaluate.subjects",
            *(STUDY.metrics.source(name) for name in STUDY.config["metrics"]),
        ),
    }


def reconstruction_items(method, dataset):
    """What one job reconstructs: all test items of a dataset, or one."""
    one = method.granularity == "subject"
    return ["{subject}"] if one else STUDY.items(dataset, "test")


def reconstruction_references(method, dataset):
    """Volumes whose grids are reconstructed, or their list: of real LR scans the SR grids."""
    items = reconstruction_items(method, dataset)
    if not STUDY.datasets[dataset].has_ground_truth:
        return grid_files(dataset, items=items)
    if method.granularity == "subject":
        return [LAYOUT.hr(dataset, item) for item in items]
    return [LAYOUT.hr_list(dataset, "test")]


def reconstruction_input(method, dataset):
    """LR files, or their list; for the control that is the ground truth, those."""
    if method.input == "ground_truth":
        return reconstruction_references(method, dataset)
    if method.granularity == "subject":
        return of_subject(lr_files, dataset)
    # Only what is simulated has a list.
    measured = STUDY.datasets[dataset].has_ground_truth
    return [LAYOUT.lr_list(dataset, "{scale}")] if measured else lr_files(dataset)


def reconstruction_masks(method, dataset):
    """Where real stacks are data."""
    one = method.granularity == "subject"
    return of_subject(stack_masks, dataset) if one else stack_masks(dataset)


def reconstruction_output(method, dataset):
    """SR files of one job."""
    if method.granularity == "subject":
        return LAYOUT.sr(dataset, method.name, "{scale}", "{subject}")
    return [
        file if KEEP.stays("sr", dataset, item) else temp(file)
        for item in STUDY.items(dataset, "test")
        for file in [LAYOUT.sr(dataset, method.name, "{scale}", item)]
    ]


def reconstruction_stem(method, dataset):
    """What log, benchmark and staging folder of a job are named after."""
    one = "{subject}" if method.granularity == "subject" else None
    return LAYOUT.sr_stem(dataset, method.name, "{scale}", one)


# What is made a subject a job, all or some of them. End of the name, which, how output is marked.
Part = namedtuple("Part", "suffix subjects mark")
EVERYONE = Part("", finding.SUBJECT, lambda file: file)


def parts(kind, dataset):
    """Split a rule of single subjects in two where volumes of a kind do not stay, see `keep`."""
    if KEEP.all(kind):
        return [EVERYONE]
    return [
        Part("", KEEP.subjects(dataset, shown=False), temp),
        Part("_shown", KEEP.subjects(dataset, shown=True), lambda file: file),
    ]


def segmentation_files(dataset, method=None, scale=None):
    """Segmentations of a dataset's test items; without method those of the ground truth."""
    return [
        LAYOUT.segmentation(dataset, item, method, scale) for item in STUDY.items(dataset, "test")
    ]


def atlas_files():
    """Template and priors of the segmentation, if the study has one."""
    if STUDY.segmentation is None:
        return []
    return [LAYOUT.atlas("template"), LAYOUT.atlas("priors")]
