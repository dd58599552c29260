"""Networks that spandrel reads and that keep their size: noise, blur or blocks out."""

from workers.models.parts.spandrel import from_sets, recognized_family, restore

__all__ = ["from_sets", "recognized_family", "restore"]
