"""Decides how an output is marked: whether a network invented its colour.

The mark stands in the item's result, from where names and records take it, and in the files' own metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from db import source_types
from db.catalog.stages import STAGES
from db.recipe import Recipe, Step
from db.source_types import SourceType
from workers import stages
from workers.media.stills import xmp

_SOURCE_TAG = "DIGITAL_SOURCE_TYPE"


@dataclass(frozen=True)
class SourceMark:
    """What must be said of an output wherever it goes."""

    source_type: SourceType
    """Empty when no step has an effect."""
    systems: tuple[str, ...] = ()
    """The networks that invented its colour, with their weights."""

    @property
    def is_invented(self) -> bool:
        """Whether colour was invented."""
        return self.source_type == source_types.INVENTED

    def result_facts(self) -> dict[str, Any]:
        """Return the mark as an item's result holds it."""
        return {source_types.FACT: self.source_type} if self.source_type else {}

    def tags(self, source_tags: Mapping[str, str]) -> dict[str, str]:
        """Return the mark as tags of a Matroska file.

        Args:
            source_tags: The source's tags: that it was corrected must not hide that something was invented before.
        """
        if not self.source_type or (not self.is_invented and _SOURCE_TAG in source_tags):
            return {}
        tags = {_SOURCE_TAG: source_types.uri(self.source_type)}
        return tags | ({"AI_COLOUR": self.sentence()} if self.is_invented else {})

    def xmp(self) -> dict[str, str]:
        """Return the mark as XMP properties of the IPTC's Extension schema."""
        if not self.source_type:
            return {}
        properties = {xmp.SOURCE_TYPE: source_types.uri(self.source_type)}
        return properties | ({xmp.AI_SYSTEM: "; ".join(self.systems)} if self.is_invented else {})

    def sentence(self) -> str:
        """Return the mark for people; empty where no colour was invented."""
        return f"Colour invented by {'; '.join(self.systems)}" if self.is_invented else ""


def source_mark(recipe: Recipe, already_colored: bool, frame_count: int = 1) -> SourceMark:
    """Return how outputs are marked.

    Args:
        recipe: What was done.
        already_colored: Whether the source has colour of its own, which colorizers may leave alone.
        frame_count: Frames of the reel; 1 for a still.
    """
    systems = tuple(_colorizer_names(recipe, already_colored, frame_count))
    if systems:
        return SourceMark(source_types.INVENTED, systems)
    return SourceMark(source_types.ENHANCED if recipe.has_effect else "")


def _colorizer_names(recipe: Recipe, already_colored: bool, frame_count: int) -> Iterator[str]:
    for step in recipe.steps:
        spec = STAGES.get(step.stage)
        if spec is None or not spec.makes_color or not stages.uses_networks(step, frame_count):
            continue
        if already_colored and step.params.get("already_colored") == "keep":
            continue
        yield from _system_names(step)


def _system_names(step: Step) -> Iterator[str]:
    # A detector finds objects; only the first weights of a step paint.
    for pin in step.pins[:1]:
        digests = ", ".join(file.sha256 for file in pin.files)
        yield f"Reelwright, stage {step.stage}, weights {pin.card} (sha256 {digests})"
    if not step.pins:
        yield f"Reelwright, stage {step.stage}, weights {step.cards()[0]}"
