"""Rule denoise_<dataset>_<split>: targets of the denoising term, by BM3D."""

from mrisr.common import volume_lists
from mrisr.common.progress import job
from mrisr.train.denoise import denoise_slices

# Its worker processes import this file, where they are not forked (macOS).
if __name__ == "__main__":
    with job(snakemake.log[0], threads=1):
        denoise_slices(
            list(volume_lists.checksums([snakemake.input.hr])),
            list(snakemake.output.denoised),
            float(snakemake.wildcards.sigma),
            snakemake.params.cache,
            snakemake.threads,
        )
