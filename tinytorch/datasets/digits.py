"""The 8x8 hand-written digits, bundled with the package.

Source: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits* (1998), the test set, UCI Machine
Learning Repository, https://doi.org/10.24432/C50P49. Licence: CC BY 4.0, https://creativecommons.org/licenses/by/4.0/.
The values are unchanged, stored as NumPy arrays instead of text; `bundled/digits.LICENSE.txt` has the attribution.
"""
from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tinytorch.errors import DataError

if TYPE_CHECKING:
    import numpy as np

_FILE = Path(__file__).parent / "bundled" / "digits.npz"


class Digits(NamedTuple):
    """1,797 images of the digits 0 to 9, written by 13 people."""

    images: np.ndarray  # (1797, 8, 8) uint8, 0 (paper) to 16 (ink)
    labels: np.ndarray  # (1797,) int64, the digit that each image shows


def load_digits(file: Path = _FILE) -> Digits:
    """The images and labels in the order of the source; neighbours are often by one writer.

    Raises: DataError if the file is missing or damaged, which only a broken installation is.
    """
    from zipfile import BadZipFile

    import numpy as np  # 80 ms, which `tito data` doesn't pay

    try:
        # opened here, since np.load leaves a file open that it finds damaged
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return Digits(arrays["images"], arrays["labels"].astype(np.int64))
    except (OSError, EOFError, KeyError, ValueError, AttributeError, BadZipFile, zlib.error) as err:
        raise DataError(
            f"{file}: the bundled digits can't be read ({err}). They are part of the package: "
            "pip install --force-reinstall tinytorch"
        ) from err
