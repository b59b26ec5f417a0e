"""What a metric says about itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metadata:
    """Description of a metric, from which evaluation, tables and figures take what they need.

    Attributes:
        label: Name in tables.
        unit: Unit, empty if it has none.
        better: `higher`, `lower`, or empty for a quantity that explains: neither ranked nor tested.
        range: Least and greatest possible value.
        reference: Whether it compares with the ground truth.
        regions: Where it can be taken: `volume`, `mask`; of a metric on slices also
            `through_plane`, the slices of the two views that thick slices are cut in. With `mask`
            and a reference it can be taken at the reference's edges too, see `takes`.
        doi: DOI of the paper that defines it.
        digits: Decimals worth printing.
        slices: Whether it is taken on 2-D slices and averaged over three directions.
        min_size: Least height and width of such a slice.
        margin: Differences of means within it do not matter, in the metric's unit: a convention,
            which a study may change; 0 if there is none.
        unmeasured: Score of a slice that the metric cannot measure, if there is one. Such slices
            are left out of the mean, as empty ones; a volume of them alone has no value (NaN).
    """

    label: str
    unit: str
    better: str
    range: tuple[float, float]
    reference: bool
    regions: tuple[str, ...]
    doi: str
    digits: int = 4
    slices: bool = False
    min_size: int = 1
    margin: float = 0.0
    unmeasured: float | None = None

    def takes(self, region: str) -> bool:
        """Say whether the metric can be taken in a region; `edges` are a mask from a reference."""
        return region in self.regions or (
            region == "edges" and self.reference and "mask" in self.regions
        )
