"""PREMIS records and C2PA sidecars of items that nobody worked on: odd names, lost machines, bad keys."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import c2pa
import pytest
from PIL import Image
from sqlalchemy import insert, update

from db import ledger, lineage, source_types
from db.errors import InputError
from db.session import Database
from db.settings import Settings
from db.states import Verdict
from db.store import open_store
from db.store.base import Store
from db.tables import Item, Review
from orchestrator.results import provenance
from orchestrator.results.export import export, export_items
from orchestrator.results.sidecars import sidecar_maker
from orchestrator.results.signing import find_sidecars, open_signer, sidecar_fault
from orchestrator.submit import SubmitOptions, submit
from tests.support import papers
from tests.support.finished import finish
from tests.support.papers import texts

INVENTED = {source_types.FACT: source_types.INVENTED}


@pytest.fixture
def store(settings: Settings) -> Store:
    return open_store(settings)


def _picture(kind: str = "PNG") -> bytes:
    made = io.BytesIO()
    Image.new("L", (16, 16), 90).save(made, kind)
    return made.getvalue()


def _job(settings: Settings, database: Database, archive: Path, *ids: str) -> int:
    (archive / "m.jsonl").write_text("\n".join(json.dumps({"id": name, "uri": "a.jpg"}) for name in ids))
    return submit(settings, database, archive / "m.jsonl", SubmitOptions(recipe="conservation")).job_id


# -- names


def test_invented_colour_stands_in_every_name(
    settings: Settings, home_database: Database, store: Store, archive: Path, tmp_path: Path
) -> None:
    ids = ["a.jpg", "reel", "plain", "b_AIcolor.jpg"]
    job = _job(settings, home_database, archive, *ids)
    for number, name in enumerate(ids):
        master = store.put_bytes(f"jobs/1/{number}/m.mkv", b"m")
        outputs = {"master": master, "access": store.put_bytes(f"jobs/1/{number}/a.mp4", b"a")}
        finish(home_database, job, name, outputs, {} if name == "plain" else INVENTED)
    export(home_database, store, job, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a_AIcolor.access.mp4", "a_AIcolor.mkv", "b_AIcolor.access.mp4", "b_AIcolor.mkv", "plain.access.mp4",
        "plain.mkv", "reel_AIcolor.access.mp4", "reel_AIcolor.mkv",
    ]  # fmt: skip


def test_marked_and_unmarked_names_never_meet(
    settings: Settings, home_database: Database, store: Store, archive: Path
) -> None:
    ids = ["a", "a_AIcolor", "a_aicolor.jpg", "a.jpg", "A.png"]
    job = _job(settings, home_database, archive, *ids)
    for number, name in enumerate(ids):
        finish(home_database, job, name, {"still": store.put_bytes(f"jobs/1/{number}/s.jpg", b"x")},
               INVENTED if number % 2 == 0 else {})  # fmt: skip
    names = [placed.name.casefold() for subject in export_items(home_database, job) for placed in subject.outputs]
    assert len(set(names)) == len(ids)


# -- PREMIS


def test_a_record_says_how_an_access_copy_was_encoded(
    settings: Settings, home_database: Database, store: Store, archive: Path
) -> None:
    (archive / "m.jsonl").write_text(json.dumps({"id": "reel", "uri": "a.jpg"}))
    (archive / "r.yaml").write_text("{recipe: [], access: {preset: slow, crf: 20.5}}")
    options = SubmitOptions(recipe=str(archive / "r.yaml"))
    job = submit(settings, home_database, archive / "m.jsonl", options).job_id
    finish(home_database, job, "reel", {"access": store.put_bytes("jobs/1/x/a.mp4", b"a")}, {})
    (row,) = lineage.lineages(home_database, job)
    root = papers.premis(provenance.premis(row, {"access": "reel.access.mp4"}))
    assert "H.264, x264 with preset slow and CRF 20.5" in texts(root, ".//p:formatNote")


def test_a_record_takes_any_text_and_lost_machines(
    settings: Settings, home_database: Database, store: Store, archive: Path
) -> None:
    name = "a <b> & \x01\x1b[31m \u202e \ud800"
    job = _job(settings, home_database, archive, name)
    facts = {
        "sha256": "0" * 64, "bytes": 5, "kind": "jpeg", "recipe": "r\x02", "recipe_fingerprint": "f",
        "steps": [{"stage": "denoise", "changed": 0.5, "moved": 0.01, "changed_frames": 1},
                  {"stage": "no such stage", "changed": None, "moved": None, "changed_frames": None}],
        "sound": {"uri": "/a/sound.wav", "bytes": 7, "sha256": "1" * 64}, "left_out": ["a data stream"],
    }  # fmt: skip
    (row,) = lineage.lineages(home_database, job)
    finish(home_database, job, row.external_id, {"still": store.put_bytes("jobs/1/x/s.jpg", b"x")}, facts)
    (row,) = lineage.lineages(home_database, job)
    data = provenance.premis(row, {"still": "a.jpg"})
    root = papers.premis(data)
    outcomes = texts(root, "p:event//p:eventOutcome")
    assert "changed" in outcomes
    assert "size changed" in outcomes
    assert "JPEG" in texts(root, ".//p:formatName")
    assert "Left out: a data stream" in texts(root, ".//p:eventOutcomeDetailNote")
    assert provenance.premis(row, {"still": "a.jpg"}) == data


def test_a_substituted_frame_is_an_event_of_its_own(
    settings: Settings, home_database: Database, store: Store, archive: Path
) -> None:
    job = _job(settings, home_database, archive, "a")
    finish(home_database, job, "a", {"still": store.put_bytes("jobs/1/x/s.jpg", b"x")})
    substitutes = '[{"frame": 5, "use": 4, "reason": "it kills the decoder"}, {"frame": 9, "use": null, "reason": ""}]'
    with home_database.write() as connection:
        connection.execute(update(Item).values(substitutes_json=substitutes))
    (row,) = lineage.lineages(home_database, job)
    root = papers.premis(provenance.premis(row))
    events = [event for event in root.iterfind("p:event", papers.NS) if texts(event, "p:eventType") == ["quarantine"]]
    details = [texts(event, ".//p:eventDetail")[0] for event in events]
    assert details == ["Frame 5 was set apart; frame 4 stands wherever it would be read.",
                       "Frame 9 was set apart; black stands wherever it would be read."]  # fmt: skip
    assert texts(events[0], ".//p:eventOutcomeDetailNote") == ["it kills the decoder"]


def test_what_a_person_said_is_an_event_with_the_person_as_its_agent(
    settings: Settings, home_database: Database, store: Store, archive: Path
) -> None:
    job = _job(settings, home_database, archive, "a")
    finish(home_database, job, "a", {"still": store.put_bytes("jobs/1/x/s.jpg", b"x")})
    values = {"job_id": job, "item_id": 1, "generation": 1, "metric": "luma_psnr", "gate": ">= 30"}
    with home_database.write() as connection:
        for start, stop, distance in ((3, 9, 0.3), (None, None, 0.2), (1, 2, 0.1)):
            place = {"start_frame": start, "stop_frame": stop, "distance": distance}
            connection.execute(insert(Review).values(**values, **place, value=24.5))
    ledger.decide(home_database, 1, Verdict.REJECTED, "anna <b>", "It pulses \u202e & more")
    ledger.decide(home_database, 2, Verdict.ACCEPTED, "anna <b>")
    (row,) = lineage.lineages(home_database, job)
    root = papers.premis(provenance.premis(row))
    events = [each for each in root.iterfind("p:event", papers.NS) if texts(each, "p:eventType") == ["quality review"]]
    assert [texts(each, ".//p:eventOutcome") for each in events] == [["rejected"], ["accepted"]]
    assert [texts(each, ".//p:eventOutcomeDetailNote") for each in events] == [["It pulses \u202e & more"], []]
    assert texts(events[0], ".//p:eventDetail") == [
        "Frames 3 to 8: luma_psnr 24.5, >= 30 was asked. A person looked at it."
    ]
    assert texts(events[1], ".//p:eventDetail")[0].startswith("The whole item: ")
    (agent,) = [each for each in root.iterfind("p:agent", papers.NS) if texts(each, "p:agentName") == ["anna <b>"]]
    assert texts(agent, "p:agentType") == ["person"]
    assert texts(events[0], "p:linkingAgentIdentifier/p:linkingAgentIdentifierValue") == ["person anna <b>"]


def test_a_line_that_was_bad_has_a_record_too(settings: Settings, home_database: Database, archive: Path) -> None:
    job = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    found = {row.external_id: papers.premis(provenance.premis(row)) for row in lineage.lineages(home_database, job)}
    assert "FILE_MISSING" in texts(found["gone"], ".//p:eventOutcomeDetailNote")[0]
    assert texts(found["one"], ".//p:eventOutcome") == ["success"]


# -- signatures


def _signed(settings: Settings, database: Database, store: Store, archive: Path, folder: Path, key: papers.Key) -> Any:
    job = _job(settings, database, archive, "a")
    finish(database, job, "a", {"still": store.put_bytes("jobs/1/x/s.png", _picture())}, {"sha256": "0" * 64})
    signer = open_signer(key.certificates, key.key)
    return export(database, store, job, folder, papers=sidecar_maker(premis=True, signer=signer))


def test_a_sidecar_is_read_by_c2pas_own_reader(
    settings: Settings, home_database: Database, store: Store, archive: Path, tmp_path: Path
) -> None:
    found = _signed(settings, home_database, store, archive, tmp_path / "out", papers.key(tmp_path / "keys"))
    assert found.files == 3
    assert (tmp_path / "out" / "a.png").read_bytes() == _picture()
    sidecar = (tmp_path / "out" / "a.png.c2pa").read_bytes()
    with c2pa.Reader("image/png", io.BytesIO(_picture()), sidecar) as reader:
        assert reader.get_validation_state() == "Valid"
        manifest = json.loads(reader.json())
    active = manifest["manifests"][manifest["active_manifest"]]
    assert active["ingredients"][0]["instance_id"] == "sha256:" + "0" * 64
    assert active["title"] == "a.png"


def test_a_sidecar_that_does_not_hold_is_named(
    settings: Settings, home_database: Database, store: Store, archive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _signed(settings, home_database, store, archive, out, papers.key(tmp_path / "keys"))
    ((sidecar, path),) = find_sidecars(out)
    assert sidecar_fault(path, sidecar) is None
    whole = sidecar.read_bytes()
    for damaged in (b"", b"rubbish", whole[:100], whole[:-200] + bytes(200)):
        sidecar.write_bytes(damaged)
        assert sidecar_fault(path, sidecar)
    sidecar.write_bytes(whole)
    path.unlink()
    assert sidecar_fault(path, sidecar)
    path.write_bytes(_picture() + b"more")
    assert "hash" in (sidecar_fault(path, sidecar) or "").lower()


@pytest.mark.parametrize(
    "fault", ["key of another", "no key", "no certificate", "expired", "not there", "a pipe", "no end"]
)
def test_what_cannot_sign_is_refused_with_a_code(
    settings: Settings, home_database: Database, store: Store, archive: Path, tmp_path: Path, fault: str
) -> None:
    key = papers.key(tmp_path / "keys", since_days=90 if fault == "expired" else 1)
    if fault == "key of another":
        key.key.write_bytes(papers.key(tmp_path / "others").key.read_bytes())
    if fault == "no key":
        key.key.write_text("rubbish")
    if fault == "no certificate":
        key.certificates.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    if fault in {"not there", "a pipe"}:
        key.key.unlink()
    if fault == "a pipe":
        os.mkfifo(key.key)
    if fault == "no end":
        key.certificates.unlink()
        key.certificates.symlink_to("/dev/zero")
    with pytest.raises(InputError) as caught:
        _signed(settings, home_database, store, archive, tmp_path / "out", key)
    no_file = fault in {"not there", "a pipe", "no end"}
    assert caught.value.code == ("FILE_MISSING" if no_file else "SIGNING_FAILED")


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = papers.key(tmp_path)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(InputError) as caught:
        open_signer(key.certificates, key.key)
    assert caught.value.code == "C2PA_EXTRA_MISSING"
    monkeypatch.undo()
    with pytest.raises(InputError):
        open_signer(key.certificates, key.key, algorithm="rot13")


def test_signing_needs_key_and_certificate(
    settings: Settings, home_database: Database, archive: Path, at_home: Any
) -> None:
    job = _job(settings, home_database, archive, "a")
    code, said = at_home("get", job, "--c2pa")
    assert (code, said["error"]["code"]) == (2, "BAD_VALUE")
