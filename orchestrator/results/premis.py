"""PREMIS 3 as XML: objects, events and agents, in the order that the schema asks for. ``provenance`` fills it.

Terms are those of the Library of Congress's vocabularies (id.loc.gov/vocabulary/preservation), named by URI.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

NAMESPACE = "http://www.loc.gov/premis/v3"
_SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"
_VOCABULARY = "http://id.loc.gov/vocabulary/preservation"
EVENT_TYPES = {
    "creation": "cre", "fixity check": "fix", "ingestion": "ing", "message digest calculation": "mes",
    "metadata extraction": "mee", "modification": "mod", "quarantine": "qua", "validation": "val",
}  # fmt: skip
"""The events that are recorded here, by their name in the vocabulary, with their code there."""
QUALITY_REVIEW = "quality review"
"""What a person says of a result: the vocabulary has no word for it, and the schema allows others."""
# What XML cannot hold at all.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Link:
    """A pointer to an object or agent, and its part in an event."""

    to: str
    role: str = ""


@dataclass(frozen=True)
class Relationship:
    """How one object came of, or belongs to, another."""

    type: str
    subtype: str
    to: str
    events: tuple[str, ...] = ()


@dataclass(frozen=True)
class PremisObject:
    """A file, or a representation made of files."""

    id: str
    name: str = ""
    """What it was called before, or is called where it was put."""
    is_file: bool = True
    sha256: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Further digests, by algorithm, as the manifest gave them."""
    bytes: int | None = None
    format_name: str = "unknown"
    media_type: str = ""
    format_note: str = ""
    created_by: tuple[str, str, float] | None = None
    """Application, its version, and when."""
    location: str = ""
    properties: Sequence[tuple[str, str]] = ()
    relationships: Sequence[Relationship] = ()
    events: Sequence[str] = ()


@dataclass(frozen=True)
class Event:
    """Something that was done."""

    id: str
    type: str
    """A key of :data:`EVENT_TYPES`, or :data:`QUALITY_REVIEW`."""
    at: float
    """Seconds since 1970."""
    detail: str = ""
    outcome: str = ""
    notes: Sequence[str] = ()
    agents: Sequence[Link] = ()
    objects: Sequence[Link] = ()


@dataclass(frozen=True)
class Agent:
    """Who or what did it: a program, weights, a machine, a person."""

    id: str
    name: str
    type: str
    version: str = ""
    notes: Sequence[str] = ()


def document(objects: Iterable[PremisObject], events: Iterable[Event], agents: Iterable[Agent]) -> bytes:
    """Return a PREMIS document; equal records give equal bytes."""
    ET.register_namespace("premis", NAMESPACE)
    ET.register_namespace("xsi", _SCHEMA)
    root = ET.Element(_qname("premis"), {"version": "3.0"})
    for each in objects:
        _add_object(root, each)
    for event in events:
        _add_event(root, event)
    for agent in agents:
        _add_agent(root, agent)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def iso_time(seconds: float) -> str:
    """Write a time as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _add_object(root: ET.Element, each: PremisObject) -> None:
    kind = "premis:file" if each.is_file else "premis:representation"
    element = ET.SubElement(root, _qname("object"), {f"{{{_SCHEMA}}}type": kind})
    _add_identifier(element, "objectIdentifier", each.id)
    for name, value in each.properties:
        _add_element(
            element, "significantProperties", {"significantPropertiesType": name, "significantPropertiesValue": value}
        )
    if each.is_file:
        _add_characteristics(element, each)
    if each.name:
        _add_text(element, "originalName", each.name)
    if each.location:
        place = ET.SubElement(_append(element, "storage"), _qname("contentLocation"))
        _add_text(place, "contentLocationType", "URI")
        _add_text(place, "contentLocationValue", each.location)
    for relation in each.relationships:
        _add_relationship(element, relation)
    for event in each.events:
        _add_identifier(element, "linkingEventIdentifier", event)


def _add_characteristics(parent: ET.Element, each: PremisObject) -> None:
    inner = _append(parent, "objectCharacteristics")
    _add_text(inner, "compositionLevel", "0")
    digests = ({"sha256": each.sha256} if each.sha256 else {}) | dict(each.digests)
    for algorithm, digest in digests.items():
        fixity = _append(inner, "fixity")
        _add_term(
            fixity, "messageDigestAlgorithm", algorithm.upper().replace("SHA", "SHA-"), "cryptographicHashFunctions"
        )
        _add_text(fixity, "messageDigest", digest)
        originator = "Reelwright" if digest == each.sha256 else "the manifest"
        _add_text(fixity, "messageDigestOriginator", originator)
    if each.bytes is not None:
        _add_text(inner, "size", str(each.bytes))
    format_ = _append(inner, "format")
    _add_text(_append(format_, "formatDesignation"), "formatName", each.format_name)
    if each.media_type:
        names = {"formatRegistryName": "IANA media types", "formatRegistryKey": each.media_type}
        _add_element(format_, "formatRegistry", names)
    if each.format_note:
        _add_text(format_, "formatNote", each.format_note)
    if each.created_by:
        name, version, at = each.created_by
        application = _append(inner, "creatingApplication")
        _add_text(application, "creatingApplicationName", name)
        _add_text(application, "creatingApplicationVersion", version)
        _add_text(application, "dateCreatedByApplication", iso_time(at))


def _add_relationship(parent: ET.Element, relation: Relationship) -> None:
    inner = _append(parent, "relationship")
    _add_term(inner, "relationshipType", relation.type, "relationshipType")
    _add_term(inner, "relationshipSubType", relation.subtype, "relationshipSubType")
    _add_identifier(inner, "relatedObjectIdentifier", relation.to)
    for event in relation.events:
        _add_identifier(inner, "relatedEventIdentifier", event)


def _add_event(root: ET.Element, event: Event) -> None:
    element = _append(root, "event")
    _add_identifier(element, "eventIdentifier", event.id)
    if event.type in EVENT_TYPES:
        _add_term(element, "eventType", event.type, "eventType", EVENT_TYPES[event.type])
    else:
        _add_text(element, "eventType", event.type)
    _add_text(element, "eventDateTime", iso_time(event.at))
    if event.detail:
        _add_text(_append(element, "eventDetailInformation"), "eventDetail", event.detail)
    if event.outcome or event.notes:
        outcome = _append(element, "eventOutcomeInformation")
        if event.outcome:
            _add_text(outcome, "eventOutcome", event.outcome)
        for note in event.notes:
            _add_text(_append(outcome, "eventOutcomeDetail"), "eventOutcomeDetailNote", note)
    for link in event.agents:
        _add_identifier(element, "linkingAgentIdentifier", link.to, role=("linkingAgentRole", link.role))
    for link in event.objects:
        _add_identifier(element, "linkingObjectIdentifier", link.to, role=("linkingObjectRole", link.role))


def _add_agent(root: ET.Element, agent: Agent) -> None:
    element = _append(root, "agent")
    _add_identifier(element, "agentIdentifier", agent.id)
    _add_text(element, "agentName", agent.name)
    _add_term(element, "agentType", agent.type, "agentType")
    if agent.version:
        _add_text(element, "agentVersion", agent.version)
    for note in agent.notes:
        _add_text(element, "agentNote", note)


# -- elements


def _add_identifier(parent: ET.Element, name: str, value: str, role: tuple[str, str] = ("", "")) -> None:
    element = _append(parent, name)
    _add_text(element, f"{name}Type", "Reelwright")
    _add_text(element, f"{name}Value", value)
    if role[1]:
        _add_text(element, role[0], role[1])


def _add_term(parent: ET.Element, name: str, value: str, vocabulary: str, code: str = "") -> None:
    """Add a term of one of the Library's vocabularies."""
    place = f"{_VOCABULARY}/{vocabulary}"
    more = {"valueURI": f"{place}/{code}"} if code else {}
    element = ET.SubElement(parent, _qname(name), {"authority": vocabulary, "authorityURI": place, **more})
    element.text = _xml_text(value)


def _add_element(parent: ET.Element, name: str, texts: Mapping[str, str]) -> None:
    element = _append(parent, name)
    for inner, value in texts.items():
        _add_text(element, inner, value)


def _add_text(parent: ET.Element, name: str, value: Any) -> None:
    _append(parent, name).text = _xml_text(str(value))


def _append(parent: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(parent, _qname(name))


def _qname(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"


def _xml_text(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
