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


def has_invented_color(facts: object) -> bool:
    """Whether a result's facts say that a network invented its colour."""
    return isinstance(facts, dict) and facts.get(FACT) == INVENTED
