"""Networks that spandrel reads and that enlarge."""

from workers.models.parts.spandrel import from_sets, recognized_family, restore

__all__ = ["from_sets", "recognized_family", "restore"]
