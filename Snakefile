# mrisr: MRI super-resolution from scan to table. `snakemake` runs the demo, `--configfile
# config/<study>.yaml` any other study. See README.md.
import gc
import os
import shutil
import time

from snakemake.utils import min_version

min_version("9.0")
STARTED = time.time()

# A large graph of jobs is many objects and no garbage: looking for it took an eighth of a dry-run.
gc.freeze()
gc.set_threshold(200_000, 50, 1000)


# For `--sdm apptainer` alone: the image of apptainer.def, or another file or address.
container: os.environ.get("MRISR_CONTAINER", "mrisr.sif")


# A study's config is complete in itself: the demo's is only read when no other was given.
if workflow.modifier.is_main_snakefile() and not workflow.overwrite_configfiles:

    configfile: f"{workflow.current_basedir}/config/demo.yaml"


include: "workflow/rules/checkout.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/degrade.smk"
include: "workflow/rules/real.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/reconstruct.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/segment.smk"
include: "workflow/rules/slices.smk"
include: "workflow/rules/readers.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


# Features were shared by the jobs of this run, and take gigabytes; models are kept aside until
# their study is done, see mrisr.train.finished.
onsuccess:
    shutil.rmtree(LAYOUT.staging("features"), ignore_errors=True)
    if Path(LAYOUT.manifest()).exists():
        for KEPT in Path(LAYOUT.staging("models")).rglob("finished"):
            shutil.rmtree(KEPT, ignore_errors=True)
    logger.info(ending(LAYOUT.report(), STARTED, time.time()))


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        rules.report.input,


rule models:
    input:
        FILES.models(),
