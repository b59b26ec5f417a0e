"""Rules ground_truth_scores_<dataset> and ground_truth_features_<dataset>."""

import json
from pathlib import Path

from mrisr import devices, files
from mrisr.evaluate import Options, available, ground_truth_features, ground_truth_scores
from mrisr.progress import job

# Its worker processes import this file, where they are not forked (macOS).
if __name__ == "__main__":
    with job(snakemake.log[0], threads=1):
        given, params = snakemake.input, snakemake.params
        fetched = {
            Path(file).stem: json.loads(Path(file).read_text()) for file in given.get("fetched", [])
        }
        options = Options(
            available(params.metrics, fetched),
            ["volume"],
            params.settings,
            params.empty_slices,
            str(devices.pick(1)),
        )
        truths = list(given.hr)
        if snakemake.output.get("features"):
            ground_truth_features(
                truths, list(snakemake.output.features), options, workers=snakemake.threads
            )
        else:
            ground_truth_scores(
                truths,
                list(params.subjects),
                options,
                Path(snakemake.output.scores),
                staging=files.Staging(
                    params.staging,
                    [options, params.code, {file: files.sha256(file) for file in truths}],
                ),
                workers=snakemake.threads,
            )
