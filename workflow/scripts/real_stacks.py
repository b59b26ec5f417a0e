"""Rule prepare_<dataset>_stacks: real stacks in one space, their masks and SR grids, at a scale."""

from mrisr.common import files
from mrisr.common.given_files import recorded
from mrisr.common.layout import inputs_by_item
from mrisr.common.progress import job
from mrisr.prepare.real_stacks import prepare_stack_subjects, stack_subjects

with job(snakemake.log[0], snakemake.threads):
    given, params, made = snakemake.input, snakemake.params, snakemake.output
    scale, subjects = float(snakemake.wildcards.scale), dict(params.subjects)
    grouped = [inputs_by_item(made.grids, group) for group in (made.lr, made.masks)]
    outputs = {
        subject: [*lr.values(), *masks.values(), grid]
        for subject, grid, lr, masks in zip(subjects, made.grids, *grouped, strict=True)
    }
    inputs = [given.sources, *given.given]
    with recorded(params.given, given.given):
        prepare_stack_subjects(
            stack_subjects(given.sources, subjects, outputs, given.given),
            scale=scale,
            **params.stacks,
            seed=params.seed,
            staging=files.Staging(
                params.staging,
                [params.code, scale, params.stacks, {file: files.sha256(file) for file in inputs}],
            ),
        )
