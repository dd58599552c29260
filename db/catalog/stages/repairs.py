"""Stages that repair a part of the picture and touch nothing beside it."""

from __future__ import annotations

from db.catalog.stages.spec import StageSpec

SPECS: tuple[StageSpec, ...] = ()
