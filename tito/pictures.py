"""Images in a terminal: two pixels to a character, in colour; or in characters, the darker the more ink."""
from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tito import render

if TYPE_CHECKING:
    import numpy as np

_LARGEST = 16  # columns that an image takes
_HALF = "\N{UPPER HALF BLOCK}"  # the upper pixel in the foreground's colour, the lower one in the background's
_INKS = " .:-=+*#%@"


def show(images: np.ndarray, captions: Sequence[str]) -> None:
    """Print images (count, height, width, 3) uint8 side by side, as many as fit, each below its caption."""
    from tinytorch.datasets.sheet import shrunk

    small = shrunk(images, max(1, -(-images.shape[2] // _LARGEST)))
    if small.shape[1] % 2:
        small = small[:, :-1]
    width = small.shape[2]
    per_row = max(1, (shutil.get_terminal_size((100, 40)).columns + 2) // (width + 2))
    for start in range(0, len(small), per_row):
        row = slice(start, start + per_row)
        render.say("  ".join(caption[:width].ljust(width) for caption in captions[row]).rstrip())
        _show_row(small[row])
        render.say()


def _show_row(images: np.ndarray) -> None:
    upper, lower = images[:, 0::2], images[:, 1::2]
    if not render.is_colourful() or not _can_print(_HALF):
        grey = (upper.astype(int) + lower).mean(axis=-1) / 2
        for line in (grey * len(_INKS) / 256).astype(int).transpose(1, 0, 2):
            render.say("  ".join("".join(_INKS[ink] for ink in image) for image in line).rstrip())
        return
    from rich.text import Text

    console = render.console()
    for y in range(upper.shape[1]):
        line = Text()
        for number, (top, bottom) in enumerate(zip(upper[:, y].tolist(), lower[:, y].tolist(), strict=True)):
            line.append("  " if number else "")
            for above, below in zip(top, bottom, strict=True):
                line.append(_HALF, style=f"rgb({above[0]},{above[1]},{above[2]}) on rgb({below[0]},{below[1]},{below[2]})")
        console.print(line, no_wrap=True, crop=True)


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
