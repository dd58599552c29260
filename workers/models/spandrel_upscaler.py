"""Networks that spandrel reads and that enlarge."""

from workers.models.parts.spandrel import from_sets, recognised, restored

__all__ = ["from_sets", "recognised", "restored"]
