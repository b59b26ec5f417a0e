"""Rule evaluate_<dataset>: metrics of one method at one scale, a row a subject and metric."""

import json
from pathlib import Path

from mrisr.common import devices, files, volume_lists
from mrisr.common.progress import job
from mrisr.evaluate.subjects import Options, Subject, available, evaluate_subjects

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
            params.get("slice_axis"),
        )
        sr = volume_lists.checksums(given.sr)
        hr = volume_lists.checksums([given.hr])
        masks = volume_lists.checksums([given.hr], "mask")
        checksums = {**sr, **hr, **masks}
        subjects = [
            Subject(
                name,
                image,
                reference,
                mask,
                features=params.features
                and f"{params.features}/{files.digest([options, params.code, hr[reference]])}",
            )
            for name, image, reference, mask in zip(params.subjects, sr, hr, masks, strict=True)
        ]
        evaluate_subjects(
            subjects,
            options,
            Path(snakemake.output.metrics),
            scores=next(iter(given.get("scores", [])), None),
            staging=files.Staging(params.staging, [options, params.code, checksums]),
            workers=snakemake.threads,
        )
