"""What kind of source a picture is, in the IPTC's vocabulary of digital source types.

Archives, search engines and C2PA readers know these names; cv.iptc.org/newscodes/digitalsourcetype defines them.
"""

from __future__ import annotations

from typing import Literal

VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"

SourceType = Literal["", "algorithmicallyEnhanced", "compositeWithTrainedAlgorithmicMedia"]
"""Empty: the picture is what it was. Else: corrected by algorithms; or joined with what a trained network invented."""

ENHANCED: SourceType = "algorithmicallyEnhanced"
INVENTED: SourceType = "compositeWithTrainedAlgorithmicMedia"

AI_COLOR = "_AIcolor"
"""Stands at the end of the names of files whose colour a network invented."""

FACT = "digital_source_type"
"""Under this name an item's result holds its source type."""


def uri(source_type: str) -> str:
    """Return the URI by which metadata name a source type."""
    return VOCABULARY + source_type


INVENTIONS = "invented"
"""Under this name a result holds what was invented of its pictures: ``colour``, ``faces``, ``parts``."""


def inventions(facts: object) -> frozenset[str]:
    """Return what of a result a network invented, by its facts."""
    if not isinstance(facts, dict) or facts.get(FACT) != INVENTED:
        return frozenset()
    # Results of the release before had nothing but colour to invent.
    return frozenset(facts.get(INVENTIONS, ("colour",)))


def has_invented_color(facts: object) -> bool:
    """Whether a result's facts say that a network invented its colour."""
    return "colour" in inventions(facts)
