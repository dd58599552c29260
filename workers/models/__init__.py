"""Networks, built so that their published checkpoints load complete and strict.

An architecture ``x`` is one entry in ``db.catalog.architectures`` and one module ``x`` here. A colorizer's module has::

    build(name) -> Module
        The bare network: ``state_dict()`` has exactly the published keys and shapes. Random values, eval mode.
        A system of several networks is one module whose children are called as the published files call them.
    chroma(network, pictures, **options) -> Tensor (N, 2, h, w)
        a and b of CIE Lab as float32, at the network's own size (``h, w``), for RGB pictures (N, 3, H, W) float32
        0..1 whose colour is not looked at. Everything the published system does before the network is done here, on
        the whole picture (never a crop of it: what lies outside would stay grey). A picture's result does not depend
        on the others in its batch.
    published(network, picture, **options) -> uint8 (H', W', 3)
        The whole path of the published program for one 8-bit RGB picture (H, W, 3), its own size and rounding.

A denoiser's or upscaler's module has ``build`` and, instead of ``chroma``::

    restored(network, pictures, **options) -> Tensor (N, C, H * scale, W * scale)
        Pictures (N, C, H, W) float32 0..1, C 1 or 3, without noise or enlarged, on the network's device or the CPU.
        A picture's result does not depend on the others in its batch. Large pictures are given in tiles, with as
        much around them as the catalogue's ``reach_px`` says. A denoiser that can be told the noise takes ``sigma``,
        as a share of full scale.

A face restorer's module has ``restore`` for faces that were cut out; an inpainter's takes ``holes`` (N, 1, H, W) bool.

Where a file alone says how large its network is (a family in ``db.catalog.weights``), a module has, instead of
``build``, ``recognised(sets)``, which family the weights are of, and ``from_sets(build, sets)``, the filled network
with its system's name as ``title``. Both raise ``ValueError`` for what cannot be used.

A detector's module has ``build`` and ``boxes(network, pictures)``: for each picture its objects, left, top, right,
bottom in pixels and a score.

``options`` are keyword-only, with the published defaults; the catalogue's entry names those that the system has.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.models.checkpoints.loading import boxes, build, chroma, reference_output, restore
    from workers.models.checkpoints.registered import load

__all__ = ["boxes", "build", "chroma", "load", "reference_output", "restore"]


def __getattr__(name: str) -> Any:
    """Find the public names when they are first asked for.

    Training imports an architecture's module on machines that have PyTorch, but neither records nor settings.
    """
    if name in __all__:
        module = "registered" if name == "load" else "loading"
        return getattr(importlib.import_module(f"workers.models.checkpoints.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
