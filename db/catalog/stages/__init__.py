"""The stages: name, parameters, and what planning must know about each.

A stage's entry lies in the module of its kind; the table is put together here.
"""

from __future__ import annotations

from collections.abc import Mapping

from db.catalog.entry_points import Catalog, with_outside
from db.catalog.stages import color, detail, invention, repairs, steadiness
from db.catalog.stages.spec import AS_WRITTEN, ColorParams, Exemption, ReelNeed, StageParams, StageSpec

__all__ = ["AS_WRITTEN", "GROUP", "STAGES", "ColorParams", "Exemption", "ReelNeed", "StageParams", "StageSpec"]

GROUP = "reelwright.stages"
"""Entry points of this group name a ``StageSpec``; its ``module`` holds the code."""


def _in_working_order() -> list[StageSpec]:
    shipped = (*steadiness.SPECS, *repairs.SPECS, *detail.SPECS, *invention.SPECS, *color.SPECS)
    return sorted(with_outside(GROUP, StageSpec, shipped), key=lambda spec: (spec.order, spec.name))


STAGES: Mapping[str, StageSpec] = Catalog(_in_working_order)
"""All stages by name, in working order: the shipped ones and those of outside packages."""
