"""What a metric says about itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metadata:
    """Description of a metric, from which tables and figures take their wording.

    Attributes:
        label: Name in tables.
        unit: Unit, empty if it has none.
        better: `higher`, `lower`, or empty for a quantity that explains: neither ranked nor
            tested.
        range: Least and greatest possible value.
        reference: Whether it compares with the ground truth.
        regions: Where it can be taken: `volume`, `mask`.
        doi: Of the paper that defines it; may be empty for a quantity that explains.
        digits: Decimals worth printing.
    """

    label: str
    unit: str
    better: str
    range: tuple[float, float]
    reference: bool
    regions: tuple[str, ...]
    doi: str
    digits: int = 4
