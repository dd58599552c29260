"""Stages that make up picture where none is left."""

from __future__ import annotations

from db.catalog.stages.spec import StageSpec

SPECS: tuple[StageSpec, ...] = ()
