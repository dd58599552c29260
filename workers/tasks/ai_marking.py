"""Decides how an output is marked: whether a network invented its colour, its faces or parts of it.

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
    inventions: tuple[tuple[str, str], ...] = ()
    """What was invented (``colour``, ``faces``, ``parts``), and the network that did it, with its weights."""

    @property
    def is_invented(self) -> bool:
        """Whether anything was invented."""
        return self.source_type == source_types.INVENTED

    def result_facts(self) -> dict[str, Any]:
        """Return the mark as an item's result holds it."""
        if not self.source_type:
            return {}
        invented = {source_types.INVENTIONS: sorted({what for what, _ in self.inventions})} if self.inventions else {}
        return {source_types.FACT: self.source_type, **invented}

    def tags(self, source_tags: Mapping[str, str]) -> dict[str, str]:
        """Return the mark as tags of a Matroska file.

        Args:
            source_tags: The source's tags: that it was corrected must not hide that something was invented before.
        """
        if not self.source_type or (not self.is_invented and _SOURCE_TAG in source_tags):
            return {}
        tags = {_SOURCE_TAG: source_types.uri(self.source_type)}
        return tags | {f"AI_{what.upper()}": self._sentence(what) for what, _ in self.inventions}

    def xmp(self) -> dict[str, str]:
        """Return the mark as XMP properties of the IPTC's Extension schema."""
        if not self.source_type:
            return {}
        properties = {xmp.SOURCE_TYPE: source_types.uri(self.source_type)}
        systems = "; ".join(system for _, system in self.inventions)
        return properties | ({xmp.AI_SYSTEM: systems} if self.is_invented else {})

    def sentence(self) -> str:
        """Return the mark for people; empty where nothing was invented."""
        return ". ".join(self._sentence(what) for what in dict.fromkeys(what for what, _ in self.inventions))

    def _sentence(self, what: str) -> str:
        systems = "; ".join(system for each, system in self.inventions if each == what)
        return f"{what.capitalize()} invented by {systems}"


def source_mark(recipe: Recipe, already_colored: bool, frame_count: int = 1) -> SourceMark:
    """Return how outputs are marked.

    Args:
        recipe: What was done.
        already_colored: Whether the source has colour of its own, which colorizers may leave alone.
        frame_count: Frames of the reel; 1 for a still.
    """
    inventions = tuple(_inventions(recipe, already_colored, frame_count))
    if inventions:
        return SourceMark(source_types.INVENTED, inventions)
    return SourceMark(source_types.ENHANCED if recipe.has_effect else "")


def _inventions(recipe: Recipe, already_colored: bool, frame_count: int) -> Iterator[tuple[str, str]]:
    for step in recipe.steps:
        spec = STAGES.get(step.stage)
        if spec is None or not spec.invents or not stages.uses_networks(step, frame_count):
            continue
        if already_colored and step.params.get("already_colored") == "keep":
            continue
        yield from ((spec.invents, name) for name in _system_names(step))


def _system_names(step: Step) -> Iterator[str]:
    # A detector finds objects; only the first weights of a step paint.
    for pin in step.pins[:1]:
        digests = ", ".join(file.sha256 for file in pin.files)
        yield f"Reelwright, stage {step.stage}, weights {pin.card} (sha256 {digests})"
    if not step.pins:
        yield f"Reelwright, stage {step.stage}, weights {step.cards()[0]}"
