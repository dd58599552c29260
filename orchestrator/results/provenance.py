"""The provenance of one item as PREMIS 3: what came in, what was done to it by whom, what came out.

Everything is taken from the records, nothing from the moment of writing: the same item gives the same document.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from db import source_types
from db.catalog.stages import STAGES
from db.catalog.weights import find
from db.judgments import ReviewRow
from db.lineage import Generation, Lineage, Machine
from db.progress import AttemptRow
from db.recipe import Pin, Recipe, Step
from db.records import deliverables
from db.states import TaskKind
from orchestrator.results import sequence_tar
from orchestrator.results.premis import QUALITY_REVIEW, Agent, Event, Link, PremisObject, Relationship, document

MEDIA_TYPES = {
    "jpg": ("JPEG", "image/jpeg"), "png": ("PNG", "image/png"), "tif": ("TIFF", "image/tiff"),
    "webp": ("WebP", "image/webp"), "bmp": ("BMP", "image/bmp"), "gif": ("GIF", "image/gif"),
    "jp2": ("JPEG 2000", "image/jp2"), "dpx": ("SMPTE 268M DPX", ""), "exr": ("OpenEXR", "image/x-exr"),
    "pgm": ("Netpbm", "image/x-portable-graymap"), "ppm": ("Netpbm", "image/x-portable-pixmap"),
    "mkv": ("Matroska", "video/matroska"), "mp4": ("MP4", "video/mp4"), "mov": ("QuickTime", "video/quicktime"),
    "avi": ("AVI", "video/vnd.avi"), "mxf": ("MXF", "application/mxf"), "npz": ("NumPy archive", ""),
    "parquet": ("Apache Parquet", "application/vnd.apache.parquet"), "framemd5": ("FFmpeg framemd5", "text/plain"),
    "tar": ("POSIX tar", "application/x-tar"), "wav": ("WAVE", "audio/vnd.wave"),
}  # fmt: skip
"""Name and media type by suffix."""
_ALIASES = {"jpeg": "jpg", "tiff": "tif", "jpeg2000": "jp2", "pnm": "ppm"}
_LISTED_ATTEMPTS = 50
_PROPERTIES = (
    "frame_count", "rate", "width", "height", "depth_bits", "pixel_format", "mono", "color_range", "matrix",
    "primaries", "transfer", "sample_aspect", "rotation_degrees", "variable_rate", "field_order", "timecode",
    "already_colored", "damaged", "pages",
)  # fmt: skip
"""Facts of a source that are significant properties of it."""
_PROGRAM, _WEIGHTS, _MACHINE = "executing program", "trained weights", "executing machine"


def premis(lineage: Lineage, names: Mapping[str, str] | None = None) -> bytes:
    """Return the PREMIS document of an item.

    Args:
        lineage: All that is written down of it.
        names: By output, what the newest result's files are called where they were put; none leaves the names out.
    """
    history = _ItemHistory(lineage, names or {})
    events = list(history.events())
    event_objects = {event.id: {link.to for link in event.objects} for event in events}
    objects = [_link_events(each, event_objects) for each in history.objects()]
    agent_ids = {link.to for event in events for link in event.agents}
    agents = [agent for agent in history.agents() if agent.id in agent_ids]
    return document(objects, events, agents)


def _link_events(each: PremisObject, event_objects: Mapping[str, set[str]]) -> PremisObject:
    return replace(each, events=[event for event, objects in event_objects.items() if each.id in objects])


@dataclass(frozen=True)
class _ItemHistory:
    """One item's story, told in PREMIS's words."""

    lineage: Lineage
    names: Mapping[str, str]

    @cached_property
    def base(self) -> str:
        return f"job-{self.lineage.job.id}-{self.lineage.job_key[:12]}/{self.lineage.external_id}"

    @cached_property
    def source(self) -> str:
        return f"{self.base}/source"

    def representation_id(self, generation: Generation) -> str:
        return f"{self.base}/g{generation.number}"

    def _output_ids(self, generation: Generation) -> list[str]:
        names = sorted(deliverables(generation.result.outputs))
        return [f"{self.representation_id(generation)}/{output}" for output in names]

    # -- objects

    def objects(self) -> Iterator[PremisObject]:
        yield self._source_object()
        if sound := self._facts().get("sound"):
            yield self._sound_object(sound)
        for generation in self.lineage.generations:
            yield self._representation(generation)
            for output in sorted(deliverables(generation.result.outputs)):
                yield self._output_object(generation, output)

    def _source_object(self) -> PremisObject:
        lineage, record, facts = self.lineage, self.lineage.record, self._facts()
        sequence = record.source.sequence if record else None
        properties = [(name, _to_text(facts[name])) for name in _PROPERTIES if facts.get(name) not in (None, "")]
        properties += [("audio", json.dumps(track)) for track in facts.get("audio") or ()]
        if sequence is not None:
            properties.append(("files", f"{sequence.prefix}[{sequence.start}-{sequence.end}]{sequence.suffix}"))
            properties.append(("sha256 over all files in order", str(facts.get("sha256", ""))))
        name, media_type = _file_format(str(facts.get("kind") or PurePosixPath(lineage.uri).suffix.lstrip(".")))
        checksums = record.source.checksum if record else {}
        return PremisObject(
            id=self.source,
            name=lineage.uri or lineage.external_id,
            is_file=sequence is None,
            sha256=str(facts.get("sha256", "")),
            digests={key: value for key, value in checksums.items() if key != "sha256"},
            bytes=facts.get("bytes"),
            format_name=name,
            media_type=media_type,
            location=lineage.uri,
            properties=properties,
        )

    def _sound_object(self, sound: Mapping[str, Any]) -> PremisObject:
        name, media_type = _file_format(PurePosixPath(sound["uri"]).suffix.lstrip("."))
        return PremisObject(
            id=f"{self.source}/sound",
            name=sound["uri"],
            sha256=sound["sha256"],
            bytes=sound["bytes"],
            format_name=name,
            media_type=media_type,
            location=sound["uri"],
        )

    def _representation(self, generation: Generation) -> PremisObject:
        facts, scores = generation.result.facts, generation.result.scores
        properties = [(f"score {name}", f"{value:.6g}") for name, value in sorted(scores.items())]
        if facts.get(source_types.FACT):
            properties.append(("digitalSourceType", source_types.uri(str(facts[source_types.FACT]))))
        properties += [
            (what, "invented by a trained network; no record of how the scene looked")
            for what in sorted(source_types.inventions(facts))
        ]
        events = tuple(event.id for event in self._derivation_events(generation))
        derivation = Relationship("derivation", "has source", self.source, events)
        parts = [Relationship("structural", "has part", part) for part in self._output_ids(generation)]
        return PremisObject(
            self.representation_id(generation), is_file=False, properties=properties, relationships=[derivation, *parts]
        )

    def _output_object(self, generation: Generation, output: str) -> PremisObject:
        blob = generation.result.outputs[output]
        name, media_type = _file_format(PurePosixPath(blob.name).suffix.lstrip("."))
        newest = generation is self.lineage.newest
        recipe = self._recipe(generation)
        settings = f", x264 with preset {recipe.access_preset} and CRF {recipe.access_crf:g}" if recipe else ""
        notes = {"master": "FFV1 version 3, intra only, with slice checksums", "access": f"H.264{settings}"}
        note = notes.get(output, "") if media_type.startswith("video/") else ""
        if sequence_tar.is_part(output):
            note = "Holds files of an image sequence, which lie in a folder of that name where they were put."
        return PremisObject(
            id=f"{self.representation_id(generation)}/{output}",
            name=self.names.get(output, "") if newest else "",
            sha256=blob.sha256,
            bytes=blob.bytes,
            format_name=name,
            media_type=media_type,
            format_note=note,
            created_by=("Reelwright", self._release(generation), generation.accepted_at),
            location=blob.key,
            relationships=[
                Relationship("structural", "is part of", self.representation_id(generation)),
                Relationship("derivation", "has source", self.source),
            ],
        )

    def _facts(self) -> dict[str, Any]:
        """Return what is known of the source: of the newest result, or of the probe where there is none."""
        newest, record = self.lineage.newest, self.lineage.record
        if newest is not None:
            return newest.result.facts
        return record.facts.model_dump(mode="json") if record and record.facts else {}

    # -- events

    def events(self) -> Iterator[Event]:
        yield self._ingestion_event()
        for generation in self.lineage.generations:
            yield self._fixity_event(generation)
            yield self._extraction_event(generation)
            yield from self._derivation_events(generation)
            yield self._digest_event(generation)
            yield from self._validation_events(generation)
            yield from self._review_events(generation)

    def _ingestion_event(self) -> Event:
        lineage = self.lineage
        line = lineage.extra.get("line", lineage.seq + 1)
        failed = lineage.newest is None and lineage.code is not None
        return Event(
            id=f"{self.base}/event/ingestion",
            type="ingestion",
            at=lineage.job.created_at,
            detail=f"Line {line} of the manifest {lineage.job.manifest_uri}, job {lineage.job.id} "
            f"({lineage.job.name}), item {lineage.external_id}. The source was read and never written.",
            outcome="failure" if failed else "success",
            notes=[f"{lineage.code}: {lineage.message}"] if failed else [],
            agents=[Link(_RELEASE, _PROGRAM)],
            objects=[Link(self.source, "source")],
        )

    def _fixity_event(self, generation: Generation) -> Event:
        record = self.lineage.record
        algorithms = sorted(record.source.checksum) if record else []
        algorithms += ["digests file by file"] if record and record.source.listing else []
        digest_note = f"sha256 {generation.result.facts.get('sha256', 'unknown')}, over all bytes that were read"
        return Event(
            id=f"{self.representation_id(generation)}/event/fixity",
            type="fixity check" if algorithms else "message digest calculation",
            at=_end_time(generation, TaskKind.PROBE),
            detail=f"Held against the manifest's {', '.join(algorithms)}."
            if algorithms
            else "The manifest gives no checksum.",
            outcome="pass" if algorithms else "success",
            notes=[digest_note],
            agents=self._agent_links(generation, TaskKind.PROBE),
            objects=[Link(self.source, "source")],
        )

    def _extraction_event(self, generation: Generation) -> Event:
        facts = generation.result.facts
        sound = [Link(f"{self.source}/sound", "source")] if facts.get("sound") else []
        return Event(
            id=f"{self.representation_id(generation)}/event/extraction",
            type="metadata extraction",
            at=_end_time(generation, TaskKind.PROBE),
            detail="Format, size, rate, depth and colour of the source were read.",
            outcome="success",
            notes=[*facts.get("disagreements", ()), *(f"Left out: {what}" for what in facts.get("left_out", ()))],
            agents=self._agent_links(generation, TaskKind.PROBE),
            objects=[Link(self.source, "source"), *sound],
        )

    def _derivation_events(self, generation: Generation) -> Iterator[Event]:
        """Yield what led from the source to the outputs: substitutions, the recipe's steps, the writing."""
        yield from self._substitution_events(generation)
        rows = generation.result.facts.get("steps") or []
        recipe = self._recipe(generation)
        for number, row in enumerate(rows):
            step = recipe.steps[number] if recipe and number < len(recipe.steps) else None
            yield self._step_event(generation, number, row, step)
        yield self._creation_event(generation, recipe)

    def _substitution_events(self, generation: Generation) -> Iterator[Event]:
        record = self.lineage.record
        if record is None or record.generation != generation.number:
            return
        for entry in record.substitutes:
            substitute = "black" if entry.use is None else f"frame {entry.use}"
            yield Event(
                id=f"{self.representation_id(generation)}/event/frame-{entry.frame}",
                type="quarantine",
                at=_end_time(generation, TaskKind.RESTORE),
                detail=f"Frame {entry.frame} was set apart; {substitute} stands wherever it would be read.",
                outcome="substituted",
                notes=[entry.reason],
                agents=self._agent_links(generation, TaskKind.RESTORE),
                objects=[Link(self.source, "source"), Link(self.representation_id(generation), "outcome")],
            )

    def _step_event(self, generation: Generation, number: int, row: Mapping[str, Any], step: Step | None) -> Event:
        spec = STAGES.get(str(row["stage"]))
        params = f" {_parameters_text(step)}" if step else ", of an earlier recipe"
        summary = f" {spec.summary} {spec.reference}" if spec else ""
        # Whole frames are made of fields while the source is read, before any step is measured.
        whole = str(generation.result.facts.get("deinterlaced") or "") if spec and spec.done_by_probe else ""
        return Event(
            id=f"{self.representation_id(generation)}/event/step-{number + 1}-{row['stage']}",
            type="modification",
            at=_end_time(generation, TaskKind.RESTORE),
            detail=f"Step {number + 1}: {row['stage']}{params}.{summary}".rstrip(),
            outcome="changed" if whole else _outcome(row),
            notes=[whole or _change_note(row, generation.result.frames)],
            agents=[*self._agent_links(generation, TaskKind.RESTORE), *self._weights_links(step)],
            objects=[Link(self.source, "source"), Link(self.representation_id(generation), "outcome")],
        )

    def _creation_event(self, generation: Generation, recipe: Recipe | None) -> Event:
        facts = generation.result.facts
        name = facts.get("recipe") or (recipe.name if recipe else "unknown")
        fingerprint = facts.get("recipe_fingerprint") or (recipe.fingerprint() if recipe else "unknown")
        objects = [self.source, self.representation_id(generation), *self._output_ids(generation)]
        return Event(
            id=f"{self.representation_id(generation)}/event/creation",
            type="creation",
            at=generation.accepted_at,
            detail=f"Outputs of generation {generation.number}, recipe {name}, fingerprint {fingerprint}.",
            outcome="success",
            notes=[*generation.result.notes, *_attempt_notes(generation.attempts)],
            agents=self._agent_links(generation, TaskKind.ASSEMBLE),
            objects=[Link(each, "outcome" if number else "source") for number, each in enumerate(objects)],
        )

    def _digest_event(self, generation: Generation) -> Event:
        return Event(
            id=f"{self.representation_id(generation)}/event/digests",
            type="message digest calculation",
            at=generation.accepted_at,
            detail="sha256 of every output, computed while it was written to the store.",
            outcome="success",
            agents=self._agent_links(generation, TaskKind.ASSEMBLE),
            objects=[Link(part) for part in self._output_ids(generation)],
        )

    def _validation_events(self, generation: Generation) -> Iterator[Event]:
        if "framemd5" not in generation.result.outputs:
            return
        yield Event(
            id=f"{self.representation_id(generation)}/event/validation",
            type="validation",
            at=generation.accepted_at,
            detail="The finished master was decoded from beginning to end, and the MD5 of every frame written down.",
            outcome="pass",
            notes=[f"{generation.result.frames} frames", *_sound_notes(generation.result.facts)],
            agents=self._agent_links(generation, TaskKind.ASSEMBLE),
            objects=[Link(f"{self.representation_id(generation)}/{output}") for output in ("framemd5", "master")
                     if output in generation.result.outputs],
        )  # fmt: skip

    def _review_events(self, generation: Generation) -> Iterator[Event]:
        for review in generation.reviews:
            if review.decided_at is None:
                continue
            yield Event(
                id=f"{self.representation_id(generation)}/event/review-{review.id}",
                type=QUALITY_REVIEW,
                at=review.decided_at,
                detail=f"{_stretch(review)}: {review.metric} {_to_text(review.value)}, {review.gate} was asked. "
                "A person looked at it.",
                outcome=str(review.verdict),
                notes=[review.note] if review.note else [],
                agents=[Link(_reviewer_id(review), "reviewer")],
                objects=[Link(self.representation_id(generation))],
            )

    # -- agents

    def agents(self) -> Iterator[Agent]:
        yield Agent(_RELEASE, "Reelwright", "software", notes=["Took the manifest in, planned, kept the records."])
        releases = {self._release(generation) for generation in self.lineage.generations}
        for release in sorted(releases - {""}):
            yield Agent(f"Reelwright {release}", "Reelwright", "software", release)
        for machine in sorted(self._machines(), key=lambda each: each.boot_id):
            yield _machine_agent(machine)
        pins = {pin.card: pin for step in self._steps() for pin in step.pins}
        for pin in pins.values():
            yield _weights_agent(pin)
        reviews = [review for generation in self.lineage.generations for review in generation.reviews]
        for review in {each.by: each for each in reviews}.values():
            yield Agent(_reviewer_id(review), review.by, "person")

    def _steps(self) -> Iterable[Step]:
        return self.lineage.record.recipe.steps if self.lineage.record else ()

    def _machines(self) -> Iterator[Machine]:
        boot_ids = {each.worker for generation in self.lineage.generations for each in generation.attempts}
        for boot_id in boot_ids:
            yield self.lineage.machines.get(boot_id) or Machine(boot_id, "no longer on record", "", "", {})

    def _agent_links(self, generation: Generation, kind: TaskKind) -> list[Link]:
        """Return program and machines of the attempts that succeeded at one kind of task; a bundle's are of no kind."""
        attempts = [each for each in generation.attempts if each.outcome == "done" or each.outcome is None]
        kind_attempts = [each for each in attempts if each.kind == kind] or attempts[-1:]
        release = self._release(generation)
        program = Link(f"Reelwright {release}" if release else _RELEASE, _PROGRAM)
        return [
            program,
            *(Link(f"worker {boot_id}", _MACHINE) for boot_id in dict.fromkeys(each.worker for each in kind_attempts)),
        ]

    def _weights_links(self, step: Step | None) -> list[Link]:
        return [Link(_weights_id(pin), _WEIGHTS) for pin in step.pins] if step else []

    def _release(self, generation: Generation) -> str:
        """Return the release of the workers that made a result; empty when they are no longer on record."""
        for each in reversed(generation.attempts):
            machine = self.lineage.machines.get(each.worker)
            if machine and machine.versions.get("reelwright"):
                return machine.versions["reelwright"]
        return ""

    def _recipe(self, generation: Generation) -> Recipe | None:
        """Return the recipe that made a result, if it is the one that is still on record."""
        record, fingerprint = self.lineage.record, generation.result.facts.get("recipe_fingerprint")
        if record is None:
            return None
        return record.recipe if fingerprint in (None, record.recipe.fingerprint()) else None


_RELEASE = "Reelwright"


def _machine_agent(machine: Machine) -> Agent:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions.items()))
    notes = [f"Compute signature {machine.signature}: equal ones give equal bits."] if machine.signature else []
    notes += [versions] if versions else []
    name = f"Reelwright worker on {machine.host}, {machine.device}" if machine.device else machine.host
    return Agent(f"worker {machine.boot_id}", name, "hardware", notes=notes)


def _weights_agent(pin: Pin) -> Agent:
    card = find(pin.card)
    files = [f"{file.name}: sha256 {file.sha256}, {file.bytes} bytes" for file in pin.files]
    licence = [f"Licence: {card.license}", f"Published: {card.published}"] if card else []
    return Agent(_weights_id(pin), f"Weights {pin.card} ({pin.architecture})", "software", notes=[*files, *licence])


def _reviewer_id(review: ReviewRow) -> str:
    return f"person {review.by}"


def _stretch(review: ReviewRow) -> str:
    if review.start_frame is None or review.stop_frame is None:
        return "The whole item"
    return f"Frames {review.start_frame} to {review.stop_frame - 1}"


def _weights_id(pin: Pin) -> str:
    return f"weights {pin.card} {','.join(file.sha256[:16] for file in pin.files)}"


def _end_time(generation: Generation, kind: TaskKind) -> float:
    """Return when the work of one kind was over; a still's whole work ends with its acceptance."""
    ends = [each.ended_at for each in generation.attempts if each.kind == kind and each.ended_at and _is_done(each)]
    return min(max(ends), generation.accepted_at) if ends else generation.accepted_at


def _is_done(attempt: AttemptRow) -> bool:
    return attempt.outcome == "done"


def _parameters_text(step: Step) -> str:
    """Return a step's parameters as JSON, without those that are none and leave a choice to the stage."""
    return json.dumps({name: value for name, value in step.params.items() if value is not None}, sort_keys=True)


def _outcome(row: Mapping[str, Any]) -> str:
    if row.get("changed") is None:
        return "size changed"
    return "changed" if row["changed"] else "unchanged"


def _change_note(row: Mapping[str, Any], frames: int) -> str:
    if row.get("changed") is None:
        return "The step changes the size, so no pixel has a counterpart to be compared with."
    return (
        f"{row['changed']:.4%} of all pixels changed by more than half a code value, in {row['changed_frames']} of "
        f"{max(frames, row['changed_frames'])} frames; mean absolute change {row['moved']:.4%} of full scale."
        + "".join(_repair_notes(row))
    )


def _repair_notes(row: Mapping[str, Any]) -> Iterator[str]:
    """Say of a step that repairs parts how much that was, and where it was taken back."""
    if row.get("repaired") is not None:
        yield f" Repaired: {row['repaired']:.4%} of all pixels, in {row['places']} places."
    for exemption in row.get("taken_back") or ():
        frames, region = exemption.get("frames"), exemption.get("region")
        where = f"in frames {frames[0]} to {frames[1] - 1}" if frames else "in all frames"
        yield f" Taken back {where}" + (f", region {region} (left, top, width, height)." if region else ".")


def _sound_notes(facts: Mapping[str, Any]) -> Iterator[str]:
    """Say which sound was copied packet by packet, with what was compared."""
    for track in facts.get("copied_sound") or ():
        yield f"Sound copied packet by packet and compared: {json.dumps(track, sort_keys=True)}"


def _attempt_notes(attempts: Iterable[AttemptRow]) -> Iterator[str]:
    """Say how often work was begun, and what became of that which was not simply done."""
    attempts = list(attempts)
    counts = Counter(each.outcome or "unfinished" for each in attempts)
    yield "Attempts: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) + "."
    odd = [each for each in attempts if each.outcome not in ("done", None)]
    for each in odd[:_LISTED_ATTEMPTS]:
        span = f" of frames {each.start_frame} to {each.stop_frame - 1}" if each.stop_frame else ""
        cause = f" ({each.code}: {each.message})" if each.code else ""
        yield f"Attempt {each.attempt} to {each.kind}{span} was {each.outcome}{cause}."


def _file_format(suffix: str) -> tuple[str, str]:
    extension = _ALIASES.get(suffix.lower(), suffix.lower())
    return MEDIA_TYPES.get(extension, (suffix or "unknown", ""))


def _to_text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | dict | list) else str(value)
