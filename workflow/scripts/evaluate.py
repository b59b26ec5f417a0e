"""Rule evaluate_<dataset>: metrics of one method at one scale, a row a subject and metric."""

import json
from pathlib import Path

from mrisr.common import devices, files, volume_lists
from mrisr.common.progress import job
from mrisr.evaluate.subjects import Options, available, evaluate_subjects

# Its worker processes import this file, where they are not forked (macOS).
if __name__ == "__main__":
    with job(snakemake.log[0], threads=1):
        given, params = snakemake.input, snakemake.params
        fetched = {Path(file).stem: json.loads(Path(file).read_text()) for file in given.fetched}
        options = Options(
            available(params.metrics, fetched),
            params.regions,
            params.settings,
            params.empty_slices,
            str(devices.pick(1)),
        )
        sr = volume_lists.checksums(given.sr)
        hr = volume_lists.checksums([given.hr])
        masks = volume_lists.checksums([given.hr], "mask")
        checksums = {**sr, **hr, **masks}
        evaluate_subjects(
            list(hr),
            list(sr),
            list(masks),
            list(params.subjects),
            options,
            Path(snakemake.output.metrics),
            scores=next(iter(given.get("scores", [])), None),
            features=params.features
            and [
                f"{params.features}/{files.digest([options, params.code, checksums[file]])}"
                for file in hr
            ],
            staging=files.Staging(params.staging, [options, params.code, checksums]),
            workers=snakemake.threads,
        )
