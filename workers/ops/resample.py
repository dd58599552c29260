"""Resizes 8-bit pictures just as the published systems do, through Pillow.

Pillow's filters widen with the factor when shrinking (they antialias) and round twice to 8 bits; a network that was
trained behind them sees slightly other pictures behind anything else.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Filter = Literal["bilinear", "bicubic", "lanczos"]


def resize(picture: Bytes, height: int, width: int, method: Filter) -> Bytes:
    """Return an 8-bit picture ``(H, W)`` or ``(H, W, 3)`` at another size, aspect ratio not kept."""
    from PIL import Image  # training imports networks on machines without it

    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling[method.upper()]))
