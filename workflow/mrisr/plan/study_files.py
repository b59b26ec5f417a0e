"""The files that rules take and make, as lists; names in braces are Snakemake's wildcards."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mrisr.common.layout import scale_name
from mrisr.data.fixed_stack import fixed_stack
from mrisr.methods.method import Method
from mrisr.study.study import Cell, Study

#: What Snakemake takes as input: paths, or a function of wildcards that returns them.
Files = list[str] | Callable[[Any], list[str]]
SUBJECT, SCALE = "{subject}", "{scale}"


class StudyFiles:
    """Lists of a study's files, in the order in which rules name them.

    `scale` is a name as in paths (`2`, `2.5`); by default it stays a wildcard.

    Attributes:
        study: The study.
    """

    def __init__(self, study: Study):
        self.study = study
        self._layout = study.layout

    def hr(self, dataset: str, split: str) -> list[str]:
        """Ground truths of a split."""
        return [self._layout.hr(dataset, item) for item in self.study.items(dataset, split)]

    def masks(self, dataset: str, split: str) -> list[str]:
        """Masks of a split."""
        return [self._layout.mask(dataset, item) for item in self.study.items(dataset, split)]

    def denoised(self, dataset: str, sigma: str, split: str) -> list[str]:
        """Denoised slices of a split; `sigma` as in paths."""
        items = self.study.items(dataset, split)
        return [self._layout.denoised(dataset, sigma, item) for item in items]

    def denoised_targets(self, method: Method, split: str) -> list[str]:
        """Denoised slices of a split of the training set; empty if the loss needs none."""
        dataset = self.study.train_dataset
        if not method.denoising or dataset is None:
            return []
        return self.denoised(dataset, scale_name(method.denoising["sigma"]), split)

    def lr(self, dataset: str, scale: str = SCALE, items: Sequence[str] | None = None) -> list[str]:
        """LR files of items (all of the test split); of an item with stacks one each."""
        return [self._layout.lr(dataset, scale, name) for name in self._inputs(dataset, items)]

    def lr_sidecars(self, dataset: str, scale: str = SCALE) -> list[str]:
        """Thickness and spacing of simulated thick slices, as BIDS says them; else none."""
        if self.study.degradation["kind"] != "through_plane":
            return []
        return [self._layout.lr_sidecar(dataset, scale, name) for name in self._test_items(dataset)]

    def sr_grids(
        self, dataset: str, scale: str = SCALE, items: Sequence[str] | None = None
    ) -> list[str]:
        """Foregrounds of real LR scans on the grids of their SR."""
        items = self._test_items(dataset) if items is None else items
        return [self._layout.foreground_on_sr_grid(dataset, scale, item) for item in items]

    def stack_masks(
        self, dataset: str, scale: str = SCALE, items: Sequence[str] | None = None
    ) -> list[str]:
        """Masks of the data in real stacks; empty for simulated stacks and for volumes."""
        if not self.study.datasets[dataset].stacked:
            return []
        return self.sr_grids(dataset, scale, self._inputs(dataset, items))

    def lr_of_subject(self, dataset: str) -> Files:
        """LR files of the wildcard subject."""
        return self._of_subject(self.lr, dataset)

    def stack_masks_of_subject(self, dataset: str) -> Files:
        """Masks of the data in the real stacks of the wildcard subject."""
        return self._of_subject(self.stack_masks, dataset)

    def grid(self, dataset: str, subject: str, scale: str) -> str:
        """The file whose grid the SR of a subject has."""
        if self.study.datasets[dataset].has_ground_truth:
            return self._layout.hr(dataset, subject)
        return self._layout.foreground_on_sr_grid(dataset, scale, subject)

    def fixed_lr(self, dataset: str) -> list[str]:
        """The LR scans to which HR references are registered; of stacks, the fixed one."""
        about, found = self.study.datasets[dataset], []
        for item in self._test_items(dataset):
            names, asked = self._inputs(dataset, [item]), about.spec["stacks"]["fixed"]
            number = fixed_stack(asked, len(names), self.study.seed, item) if about.stacked else 1
            found += names[number - 1 :][:1]
        scale = scale_name(self.study.scales(dataset)[0])
        return [self._layout.lr(dataset, scale, name) for name in found]

    def hr_references(self, dataset: str) -> list[str]:
        """HR references of real LR scans; empty if the dataset has none."""
        items = self._test_items(dataset) if self.study.datasets[dataset].reference else []
        return [self._layout.hr_reference(dataset, item) for item in items]

    def hr_reference_masks(self, dataset: str) -> list[str]:
        """Foregrounds of the HR references."""
        items = self._test_items(dataset)
        return [self._layout.hr_reference_foreground(dataset, item) for item in items]

    def checked(self) -> list[str]:
        """The files that are made of every scan before any training."""
        found = []
        for name, dataset in self.study.datasets.items():
            for split in self.study.splits(name):
                if dataset.has_ground_truth:
                    found.append(self._layout.hr_list(name, split))
                else:
                    found += self.hr_references(name)
                    for scale in self.study.scales(name):
                        found += self.lr(name, scale_name(scale))
        return found

    def lists_by_split(self) -> dict[str, list[str]]:
        """The lists of all raw scans and ground truths, by split."""
        found: dict[str, list[str]] = {}
        for name, dataset in self.study.datasets.items():
            for split in self.study.splits(name):
                lists = found.setdefault(split, [])
                lists.append(self._layout.sources(name, split))
                if dataset.has_ground_truth:
                    lists.append(self._layout.hr_list(name, split))
        return found

    def sr(self, dataset: str, method: str, scale: str = SCALE) -> list[str]:
        """Reconstructions of the test split."""
        items = self._test_items(dataset)
        return [self._layout.sr(dataset, method, scale, item) for item in items]

    def beyond(self, dataset: str, method: str, scale: str = SCALE) -> list[str]:
        """Ground truths of the test split, super-resolved."""
        items = self._test_items(dataset)
        return [self._layout.beyond(dataset, method, scale, item) for item in items]

    def metrics(self, cells: Iterable[Cell]) -> list[str]:
        """Metrics of the cells that are not skipped."""
        return [
            self._layout.metrics(cell.dataset, cell.method.name, scale_name(cell.scale))
            for cell in cells
            if not cell.skipped
        ]

    def fetched_metrics(self) -> list[str]:
        """What metrics that need a downloaded file tell about that file."""
        return [self._layout.metric_file(name) for name in self.study.metrics_with("fetch")]

    def segmentations(
        self, dataset: str, method: str | None = None, scale: str | None = None
    ) -> list[str]:
        """Segmentations of the test split; without method, those of the ground truths."""
        items = self._test_items(dataset)
        return [self._layout.segmentation(dataset, item, method, scale) for item in items]

    def atlas(self) -> list[str]:
        """Template and priors of the segmentation, if the study has one."""
        if self.study.segmentation is None:
            return []
        return [self._layout.atlas("template"), self._layout.atlas("priors")]

    def model(self, name: str, method: Method) -> str:
        """A file of a model, with the wildcard scale if there is a model for each scale."""
        return self._layout.model_file(name, method.name, method.trained())

    def subject_model(self, name: str, method: Method, dataset: str) -> str:
        """A file of the model of the wildcard subject."""
        return self._layout.model_file(name, method.name, method.trained(), dataset, SUBJECT)

    def model_behind(self, method: Method, dataset: str) -> list[str]:
        """The model that reconstructs, with wildcards; empty for methods without."""
        if not method.learned or method.kind == "external":
            return []
        if method.per_subject:
            return [self.subject_model("model.safetensors", method, dataset)]
        return [self.model("model.safetensors", method)]

    def imported_models(self) -> list[str]:
        """Models whose weights were made elsewhere."""
        return [self._weights(m.name, trained) for m, trained in self.study.models() if m.imported]

    def models(self) -> list[str]:
        """Models of the training set, then those of single subjects."""
        shared = [
            self._weights(each.name, trained)
            for method, trained in self.study.models()
            for each in self.study.trainings(method)
        ]
        of_subjects = [
            self._weights(
                cell.method.name, cell.method.trained(scale_name(cell.scale)), cell.dataset, item
            )
            for cell in self.study.measured_cells()
            if cell.method.per_subject and not cell.skipped
            for item in self._test_items(cell.dataset)
        ]
        return shared + of_subjects

    def reconstruction_input(self, method: Method, dataset: str) -> Files:
        """LR files of one job, or their list; for the ground-truth control, the ground truths."""
        if method.input == "ground_truth":
            return self.reconstruction_grids(method, dataset)
        if method.granularity == "subject":
            return self.lr_of_subject(dataset)
        # Only simulated LR has a list.
        if self.study.datasets[dataset].has_ground_truth:
            return [self._layout.lr_list(dataset, SCALE)]
        return self.lr(dataset)

    def reconstruction_grids(self, method: Method, dataset: str) -> list[str]:
        """Volumes whose grids one job reconstructs on, or their list."""
        one = method.granularity == "subject"
        if not self.study.datasets[dataset].has_ground_truth:
            return self.sr_grids(dataset, items=[SUBJECT] if one else None)
        if one:
            return [self._layout.hr(dataset, SUBJECT)]
        return [self._layout.hr_list(dataset, "test")]

    def reconstruction_masks(self, method: Method, dataset: str) -> Files:
        """Masks of the data in the real stacks of one job."""
        if method.granularity == "subject":
            return self.stack_masks_of_subject(dataset)
        return self.stack_masks(dataset)

    def reconstruction_stem(self, method: Method, dataset: str) -> str:
        """Name stem of a job's log, benchmark and staging folder."""
        one = SUBJECT if method.granularity == "subject" else None
        return self._layout.sr_stem(dataset, method.name, SCALE, one)

    def _test_items(self, dataset: str) -> list[str]:
        return self.study.items(dataset, "test")

    def _inputs(self, dataset: str, items: Sequence[str] | None) -> list[str]:
        items = self._test_items(dataset) if items is None else items
        return [name for item in items for name in self.study.inputs(dataset, item)]

    def _of_subject(self, files: Callable[..., list[str]], dataset: str) -> Files:
        """Return `files` of the wildcard subject: the number of stacks differs between subjects."""
        if self.study.datasets[dataset].stacked:
            return lambda wildcards: files(dataset, wildcards.scale, [wildcards.subject])
        return files(dataset, items=[SUBJECT])

    def _weights(self, method: str, trained: str, *where: str) -> str:
        return self._layout.model_file("model.safetensors", method, trained, *where)
