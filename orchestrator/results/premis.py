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
    """A key of :data:`EVENT_TYPES`."""
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
    root = ET.Element(_name("premis"), {"version": "3.0"})
    for each in objects:
        _object(root, each)
    for event in events:
        _event(root, event)
    for agent in agents:
        _agent(root, agent)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def when(seconds: float) -> str:
    """Write a time as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _object(root: ET.Element, each: PremisObject) -> None:
    kind = "premis:file" if each.is_file else "premis:representation"
    made = ET.SubElement(root, _name("object"), {f"{{{_SCHEMA}}}type": kind})
    _identifier(made, "objectIdentifier", each.id)
    for name, value in each.properties:
        _filled(made, "significantProperties", {"significantPropertiesType": name, "significantPropertiesValue": value})
    if each.is_file:
        _characteristics(made, each)
    if each.name:
        _text(made, "originalName", each.name)
    if each.location:
        place = ET.SubElement(_add(made, "storage"), _name("contentLocation"))
        _text(place, "contentLocationType", "URI")
        _text(place, "contentLocationValue", each.location)
    for relation in each.relationships:
        _relationship(made, relation)
    for event in each.events:
        _identifier(made, "linkingEventIdentifier", event)


def _characteristics(made: ET.Element, each: PremisObject) -> None:
    inner = _add(made, "objectCharacteristics")
    _text(inner, "compositionLevel", "0")
    digests = ({"sha256": each.sha256} if each.sha256 else {}) | dict(each.digests)
    for algorithm, digest in digests.items():
        fixity = _add(inner, "fixity")
        _term(fixity, "messageDigestAlgorithm", algorithm.upper().replace("SHA", "SHA-"), "cryptographicHashFunctions")
        _text(fixity, "messageDigest", digest)
        originator = "Reelwright" if digest == each.sha256 else "the manifest"
        _text(fixity, "messageDigestOriginator", originator)
    if each.bytes is not None:
        _text(inner, "size", str(each.bytes))
    format_ = _add(inner, "format")
    _text(_add(format_, "formatDesignation"), "formatName", each.format_name)
    if each.media_type:
        names = {"formatRegistryName": "IANA media types", "formatRegistryKey": each.media_type}
        _filled(format_, "formatRegistry", names)
    if each.format_note:
        _text(format_, "formatNote", each.format_note)
    if each.created_by:
        name, version, at = each.created_by
        application = _add(inner, "creatingApplication")
        _text(application, "creatingApplicationName", name)
        _text(application, "creatingApplicationVersion", version)
        _text(application, "dateCreatedByApplication", when(at))


def _relationship(made: ET.Element, relation: Relationship) -> None:
    inner = _add(made, "relationship")
    _term(inner, "relationshipType", relation.type, "relationshipType")
    _term(inner, "relationshipSubType", relation.subtype, "relationshipSubType")
    _identifier(inner, "relatedObjectIdentifier", relation.to)
    for event in relation.events:
        _identifier(inner, "relatedEventIdentifier", event)


def _event(root: ET.Element, event: Event) -> None:
    made = _add(root, "event")
    _identifier(made, "eventIdentifier", event.id)
    _term(made, "eventType", event.type, "eventType", EVENT_TYPES[event.type])
    _text(made, "eventDateTime", when(event.at))
    if event.detail:
        _text(_add(made, "eventDetailInformation"), "eventDetail", event.detail)
    if event.outcome or event.notes:
        outcome = _add(made, "eventOutcomeInformation")
        if event.outcome:
            _text(outcome, "eventOutcome", event.outcome)
        for note in event.notes:
            _text(_add(outcome, "eventOutcomeDetail"), "eventOutcomeDetailNote", note)
    for link in event.agents:
        _identifier(made, "linkingAgentIdentifier", link.to, role=("linkingAgentRole", link.role))
    for link in event.objects:
        _identifier(made, "linkingObjectIdentifier", link.to, role=("linkingObjectRole", link.role))


def _agent(root: ET.Element, agent: Agent) -> None:
    made = _add(root, "agent")
    _identifier(made, "agentIdentifier", agent.id)
    _text(made, "agentName", agent.name)
    _term(made, "agentType", agent.type, "agentType")
    if agent.version:
        _text(made, "agentVersion", agent.version)
    for note in agent.notes:
        _text(made, "agentNote", note)


# -- elements


def _identifier(parent: ET.Element, name: str, value: str, role: tuple[str, str] = ("", "")) -> None:
    made = _add(parent, name)
    _text(made, f"{name}Type", "Reelwright")
    _text(made, f"{name}Value", value)
    if role[1]:
        _text(made, role[0], role[1])


def _term(parent: ET.Element, name: str, value: str, vocabulary: str, code: str = "") -> None:
    """Add a term of one of the Library's vocabularies."""
    place = f"{_VOCABULARY}/{vocabulary}"
    more = {"valueURI": f"{place}/{code}"} if code else {}
    made = ET.SubElement(parent, _name(name), {"authority": vocabulary, "authorityURI": place, **more})
    made.text = _writable(value)


def _filled(parent: ET.Element, name: str, texts: Mapping[str, str]) -> None:
    made = _add(parent, name)
    for inner, value in texts.items():
        _text(made, inner, value)


def _text(parent: ET.Element, name: str, value: Any) -> None:
    _add(parent, name).text = _writable(str(value))


def _add(parent: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(parent, _name(name))


def _name(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"


def _writable(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
