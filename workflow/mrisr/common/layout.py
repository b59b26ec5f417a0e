"""The file contract: the paths of every stage of a study, and nothing else."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

#: Folder of all studies, below the folder that Snakemake runs in.
RESULTS = "results"
SPLITS = ("train", "val", "test")
STACKS = ("axial", "coronal", "sagittal")
#: Folders of a study, in the order in which their files are made.
FOLDERS = (
    *("sources", "splits", "hr", "masks", "denoised", "lr", "references", "models"),
    *("early_stopping", "sr", "beyond", "metrics", "segmentation", "overlap", "tissues", "tables"),
    *("figures", "reader_study"),
)
#: Name of the HR references of real LR scans in file names, and their label for people.
HR_REFERENCE, HR_REFERENCE_LABEL = "hr_reference", "HR reference"
#: Forms of each table and each figure.
TABLE_SUFFIXES = ("csv", "md", "tex", "html")
FIGURE_SUFFIXES = ("png", "pdf", "json")


def scale_name(scale: float) -> str:
    """Return a scale as it stands in paths and tables: 2, 2.5, 3."""
    return f"{float(scale):g}"


def slice_name(subject: str, number: int) -> str:
    """Return the name of a subject's slice in a 2-D study."""
    return f"{subject}_slice-{number}"


def subject_of(item: str) -> str:
    """Return the subject of a slice; see `slice_name`."""
    return item.rpartition("_slice-")[0]


def trained_name(scales: Iterable[float]) -> str:
    """Return the folder of a model trained on one scale (`x2`) or on a range (`x2-4`)."""
    return "x" + "-".join(scale_name(scale) for scale in scales)


def inputs_by_item(items: Sequence[str], files: Sequence[str]) -> list[dict[str, str]]:
    """Return each item's LR files by the name of the stack, which is "" for a volume.

    Args:
        items: SR files, or other files named after their items.
        files: LR files, or masks of stacks: named after the items, or `<item>_<stack>`.
    """
    stacks = re.compile(rf"_({'|'.join(STACKS)}|stack-\d+)")
    stems = [(Path(file).name.removesuffix(".nii.gz"), file) for file in files]
    found = []
    for item in items:
        stem = Path(item).name.removesuffix(".nii.gz")
        by_stack = {}
        for name, file in stems:
            stack = stacks.fullmatch(name.removeprefix(stem))
            if name == stem or (name.startswith(stem) and stack):
                by_stack[stack[1] if stack else ""] = file
        found.append(by_stack)
    return found


class Layout:
    """Paths of one study, as strings; any argument may be a Snakemake wildcard such as `{scale}`.

    Attributes:
        root: The study's folder, `results/<study>`.
    """

    def __init__(self, study: str, results: str | Path = RESULTS):
        self.root = f"{results}/{study}"

    def sources(self, dataset: str, split: str) -> str:
        """TSV of the raw scans used: subject, path, url, bytes, sha256."""
        return f"{self.root}/sources/{dataset}/{split}.tsv"

    def split(self, dataset: str) -> str:
        """TSV of the subjects used: subject, split."""
        return f"{self.root}/splits/{dataset}.tsv"

    def licences(self) -> str:
        """Licence and citation of every dataset, as Markdown."""
        return f"{self.root}/licences.md"

    def checked(self) -> str:
        """Mark that every scan of the study could be prepared; trainings wait for it."""
        return f"{self.root}/sources/checked"

    def hr(self, dataset: str, subject: str) -> str:
        """Ground truth: canonical RAS, in [0,1], float32; real LR scans have none."""
        return f"{self.root}/hr/{dataset}/{subject}.nii.gz"

    def hr_list(self, dataset: str, split: str) -> str:
        """TSV of a split's ground truths and masks: image, mask, their SHA-256."""
        return f"{self.root}/hr/{dataset}/{split}.tsv"

    def mask(self, dataset: str, subject: str) -> str:
        """Brain mask on the grid of the ground truth, uint8."""
        return f"{self.root}/masks/{dataset}/{subject}.nii.gz"

    def denoised(self, dataset: str, sigma: object, item: str) -> str:
        """Ground-truth slice of a training set, denoised by BM3D with the strength `sigma`."""
        return f"{self.root}/denoised/{dataset}/sigma{sigma}/{item}.nii.gz"

    def lr(self, dataset: str, scale: object, subject: str) -> str:
        """LR volume (for stacks: one of `<subject>_{axial,coronal,sagittal}`)."""
        return f"{self.root}/lr/{dataset}/x{scale}/{subject}.nii.gz"

    def lr_sidecar(self, dataset: str, scale: object, subject: str) -> str:
        """JSON of an LR volume with thick slices: SliceThickness, SpacingBetweenSlices in mm."""
        return f"{self.root}/lr/{dataset}/x{scale}/{subject}.json"

    def lr_list(self, dataset: str, scale: object) -> str:
        """TSV of a dataset's simulated LR volumes at a scale: image, its SHA-256."""
        return f"{self.root}/lr/{dataset}/x{scale}.tsv"

    def foreground_on_sr_grid(self, dataset: str, scale: object, subject: str) -> str:
        """Foreground of a real LR scan, 1 inside, uint8, on the SR grid.

        For a real stack, `<subject>_stack-<n>`: the voxels that are data, on the stack's grid.
        """
        return f"{self.root}/masks/{dataset}/x{scale}/{subject}.nii.gz"

    def hr_reference(self, dataset: str, subject: str) -> str:
        """HR reference of a real LR scan, on its own voxels: canonical RAS, in [0,1], float32."""
        return f"{self.root}/references/{dataset}/{subject}.nii.gz"

    def hr_reference_foreground(self, dataset: str, subject: str) -> str:
        """Foreground of the HR reference, uint8."""
        return f"{self.root}/masks/{dataset}/reference/{subject}.nii.gz"

    def model(self, method: str, trained: str, *subject: str) -> str:
        """Folder of a model; models of one subject also need the dataset and the subject."""
        return "/".join([f"{self.root}/models/{method}/{trained}", *subject])

    def model_file(self, name: str, method: str, trained: str, *subject: str) -> str:
        """A file of a model: `model.safetensors`, `model.json` or `log.csv`."""
        return f"{self.model(method, trained, *subject)}/{name}"

    def sr(self, dataset: str, method: str, scale: object, subject: str) -> str:
        """Reconstruction, on the exact grid and affine of the ground truth, or the SR grid."""
        return f"{self.root}/sr/{dataset}/{method}/x{scale}/{subject}.nii.gz"

    def sr_list(self, dataset: str, method: str, scale: object) -> str:
        """TSV of the reconstructions that one job makes, if they stay: image, its SHA-256."""
        return f"{self.root}/sr/{dataset}/{method}/x{scale}.tsv"

    def sr_stem(self, dataset: str, method: str, scale: object, subject: str | None = None) -> str:
        """Name stem of the job that reconstructs: all of a dataset, or one subject."""
        folder = f"{self.root}/sr/{dataset}/{method}/x{scale}"
        return folder if subject is None else f"{folder}/{subject}"

    def metrics_stem(self, dataset: str, method: str, scale: object) -> str:
        """Name stem of the job that computes metrics."""
        return f"{self.root}/metrics/{dataset}/{method}/x{scale}"

    def beyond(self, dataset: str, method: str, scale: object, item: str) -> str:
        """The ground truth itself, super-resolved, with nothing to compare it with."""
        return f"{self.root}/beyond/{dataset}/{method}/x{scale}/{item}.nii.gz"

    def early_stopping(self, method: str, trained: str, name: str) -> str:
        """Metrics at some steps of a longer training: `curve.csv`, `images.npz`."""
        return f"{self.root}/early_stopping/{method}/{trained}/{name}"

    def reader_study(self, name: str) -> str:
        """Files for the server of a reader study: `study.json`, `images`, `answers.sqlite`."""
        return f"{self.root}/reader_study/{name}"

    def reader_key(self) -> str:
        """Key that tells the method of each image of the reader study; not for readers."""
        return f"{self.root}/reader_study_key.csv"

    def metrics(self, dataset: str, method: str, scale: object) -> str:
        """Tidy CSV: subject, metric, region, value."""
        return f"{self.root}/metrics/{dataset}/{method}/x{scale}.csv"

    def metric_file(self, metric: str) -> str:
        """Result of a metric's `fetch`, as JSON: whether it can be computed, and why not."""
        return f"{self.root}/metrics/{metric}.json"

    def ground_truth_scores(self, dataset: str) -> str:
        """Metrics without reference of the ground truth itself, with numbers of slices."""
        return f"{self.root}/metrics/{dataset}/ground_truth.csv"

    def hr_reference_scores(self, dataset: str) -> str:
        """Metrics without reference of the HR references of real LR scans."""
        return f"{self.root}/metrics/{dataset}/reference.csv"

    def atlas(self, name: str) -> str:
        """Template and tissue priors of the segmentation: `template` or `priors` (4-D)."""
        return f"{self.root}/segmentation/{name}.nii.gz"

    def subject_priors(self, dataset: str, subject: str, name: str) -> str:
        """Files that all segmentations of a subject share: `priors` (4-D) or `mask`."""
        return f"{self.root}/segmentation/{dataset}/priors/{subject}/{name}.nii.gz"

    def segmentation(
        self, dataset: str, subject: str, method: str | None = None, scale: object = None
    ) -> str:
        """Labels 1 to 6, uint8, of a reconstruction; without method, those of the ground truth."""
        where = "ground_truth" if method is None else f"{method}/x{scale}"
        return f"{self.root}/segmentation/{dataset}/{where}/{subject}.nii.gz"

    def noisy_segmentation(self, dataset: str, subject: str) -> str:
        """Labels of the ground truth with a little noise, for the noise floor of the overlap."""
        return f"{self.root}/segmentation/{dataset}/noisy/{subject}.nii.gz"

    def noise_floor(self, dataset: str) -> str:
        """Tidy CSV of the overlap of ground truths with themselves after a little noise."""
        return f"{self.root}/overlap/{dataset}/noise_floor.csv"

    def segmentation_list(self, dataset: str) -> str:
        """TSV of the segmentations of a dataset's ground truths: image, its SHA-256."""
        return f"{self.root}/segmentation/{dataset}/ground_truth.tsv"

    def overlap(self, dataset: str, method: str, scale: object) -> str:
        """Tidy CSV: subject, region, metric, value."""
        return f"{self.root}/overlap/{dataset}/{method}/x{scale}.csv"

    def tissues(self, dataset: str, method: str, scale: object) -> str:
        """Tidy CSV of errors, SNR and contrast by tissue: subject, region, metric, value."""
        return f"{self.root}/tissues/{dataset}/{method}/x{scale}.csv"

    def table(self, name: str, suffix: str) -> str:
        """A table as `csv`, `md`, `tex` or `html`."""
        return f"{self.root}/tables/{name}.{suffix}"

    def figure(self, name: str, suffix: str) -> str:
        """A figure as `png` or `pdf`, or its description as `json`."""
        return f"{self.root}/figures/{name}.{suffix}"

    def report(self) -> str:
        """The report, a single page."""
        return f"{self.root}/report.html"

    def manifest(self) -> str:
        """Versions, commit, config, host, seeds, checksums."""
        return f"{self.root}/manifest.json"

    def staging(self, *parts: object) -> str:
        """Folder for finished items of a running job."""
        path = "/".join(map(str, parts)).removeprefix(self.root + "/")
        return f"{self.root}/.staging/{path}"

    def made_of(self, path: str) -> str:
        """JSON of the given files that `path` was made of, see `mrisr.common.given_files`."""
        return f"{self.root}/.made_of/{path.removeprefix(self.root + '/')}.json"

    def log(self, path: str) -> str:
        """Log of the job that makes `path` (or a stem of it), at the same place under `logs/`."""
        return f"{self.root}/logs/{path.removeprefix(self.root + '/')}.log"

    def benchmark(self, path: str) -> str:
        """Benchmark of the job that makes `path`, at the same place under `benchmarks/`."""
        return f"{self.root}/benchmarks/{path.removeprefix(self.root + '/')}.tsv"
