"""In which order a network sees the axes of a volume, and the way there and back.

Volumes are canonical RAS here. A network that was trained on arrays read otherwise must see its own
order: 3 x 3 x 3 weights are not symmetric, and some networks are asked for absolute coordinates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from mrisr.volumes.io import Volume

#: Axes as `mrisr.volumes.io.canonical` leaves them: (x, y, z), to the right, front and top.
CANONICAL = "canonical"
#: Axes as the file of the scan has them, as nibabel reads it.
FILE = "file"
#: The same, the last one first, (z, y, x): SimpleITK's GetArrayFromImage.
FILE_REVERSED = "file_reversed"
ORDERS = (CANONICAL, FILE, FILE_REVERSED)


@dataclass(frozen=True)
class AxisOrder:
    """The turn from the axes of a volume in memory to those that a network sees.

    Attributes:
        present: Where each axis of the volume goes, as three letters (RAS).
        stored: The same of the file that the scan came from.
        order: One of `ORDERS`.
    """

    present: str
    stored: str
    order: str

    @classmethod
    def of(cls, volume: Volume, order: str) -> "AxisOrder":
        """Return the turn for a volume, whose `stored` says how its scan lay in the file."""
        present = "".join(nib.aff2axcodes(volume.affine))
        stored = "RAS" if order == CANONICAL else volume.stored or present
        return cls(present, stored, order)

    def _between(self, before: str, after: str) -> np.ndarray:
        start, end = (nib.orientations.axcodes2ornt(codes) for codes in (before, after))
        return nib.orientations.ornt_transform(start, end)

    def there(self, data: np.ndarray) -> np.ndarray:
        """Return an array of the volume's axes in the network's order."""
        turn = self._between(self.present, self.stored)
        data = nib.orientations.apply_orientation(data, turn)
        return np.ascontiguousarray(data.T if self.order == FILE_REVERSED else data)

    def back(self, data: np.ndarray) -> np.ndarray:
        """Return an array of the network's order with the volume's axes; undoes `there`."""
        turn = self._between(self.stored, self.present)
        data = nib.orientations.apply_orientation(
            data.T if self.order == FILE_REVERSED else data, turn
        )
        return np.ascontiguousarray(data)

    def shape(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """Return the shape that `there` gives an array of `shape`."""
        a, b, c = self.there(np.broadcast_to(np.uint8(0), tuple(shape))).shape
        return a, b, c

    def affine(self, affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Return the affine of what `there` makes of a volume of this affine and shape."""
        turn = self._between(self.present, self.stored)
        affine = affine @ nib.orientations.inv_ornt_aff(turn, tuple(shape))
        return affine[:, [2, 1, 0, 3]] if self.order == FILE_REVERSED else affine
