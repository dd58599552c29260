"""What was done to every item, told by us and checked by others: PREMIS, bags, signatures, marks; and damage found."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import av
import c2pa
import pytest
from PIL import Image

from db import ledger
from db.recipe import parse
from orchestrator import cli
from tests.journeys.house import House, film, photo
from tests.support import papers, tint
from tests.support.papers import NS, texts

STEPS = "- deflicker: {window: 9}\n- denoise: {method: temporal, radius: 1}\n- colorize: {model: tint}\n"


@pytest.fixture
def job(house: House, tmp_path: Path) -> int:
    """A finished job: a coloured reel and photo, a photo that was only copied, and one that is missing."""
    tint.register(house.database, house.store, tmp_path / "weights")
    archive = tmp_path / "archive"
    archive.mkdir()
    sources = {"reel": film(archive / "reel.mkv", 40), "box/photo": photo(archive / "photo.png")}
    sources |= {"plain": photo(archive / "plain.tif", 2), "gone": photo(archive / "gone.png")}
    (archive / "gone.png").unlink()
    house.lead()
    house.hire(1)
    job_id = house.submit(sources, STEPS, recipes={"plain": parse("[]", "identity")})
    assert house.wait_for(job_id) == "done_with_failures"
    return job_id


def _run(house: House, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, Any]:
    code = cli.run(["--home", str(house.settings.home), "--json", *map(str, words)])
    return code, json.loads(capsys.readouterr().out)


def _damage(path: Path) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with path.open("r+b") as file:
        file.write(data)


def test_a_job_proves_what_it_did(house: House, job: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag_folder = tmp_path / "bag"
    signer = papers.key(tmp_path / "keys")
    keys = ("--c2pa", "--c2pa-cert", signer.certificates, "--c2pa-key", signer.key)
    code, got = _run(house, capsys, "get", job, "--bag", "--out", bag_folder, "--organization", "Archive of X", *keys)
    assert code == 0, got

    bag = papers.valid_bag(bag_folder)
    assert bag.info["Source-Organization"] == "Archive of X"
    assert set(bag.entries) >= {
        "data/reel_AIcolor.mkv", "data/reel_AIcolor.access.mp4", "data/reel_AIcolor.framemd5",
        "data/box/photo_AIcolor.png", "data/plain.tif", "data/reel_AIcolor.mkv.c2pa",
        "metadata/premis/reel_AIcolor.xml", "metadata/premis/gone.xml", "metadata/report.csv",
    }  # fmt: skip
    _assert_premis_is_whole(bag_folder, house.result(job, "reel").outputs["master"].sha256)
    _assert_signed(bag_folder, signer)
    code, found = _run(house, capsys, "verify", "--bag", bag_folder)
    assert (code, found["checks"]["signature"]["ok"]) == (0, 4)
    assert _run(house, capsys, "get", job, "--bag", "--out", bag_folder)[1]["error"]["code"] == "ALREADY_THERE"

    code, found = _run(house, capsys, "verify", job, "--sources", "--rerun", "--frames", 16)
    assert (code, found["holds"]) == (0, True), json.dumps(found["findings"], indent=1)
    assert found["checks"]["rerun"]["ok"] == 3
    assert found["checks"]["source"]["ok"] == 3
    assert found["checks"]["frames"]["ok"] == 1

    _assert_earlier_generations_stay_on_record(house, job, tmp_path, capsys)
    _assert_damage_is_found(house, job, bag_folder, tmp_path, capsys)


def _assert_premis_is_whole(bag: Path, master_sha256: str) -> None:
    reel = papers.premis((bag / "metadata/premis/reel_AIcolor.xml").read_bytes())
    kinds = texts(reel, "p:event/p:eventType")
    assert kinds.count("modification") == 3
    assert set(kinds) >= {"ingestion", "message digest calculation", "creation", "validation"}
    assert master_sha256 in texts(reel, ".//p:messageDigest")
    events = {
        texts(event, "p:eventIdentifier/p:eventIdentifierValue")[0]: event for event in reel.iterfind("p:event", NS)
    }
    colour = next(event for name, event in events.items() if name.endswith("step-3-colorize"))
    assert texts(colour, ".//p:eventOutcome") == ["changed"]
    assert "% of all pixels changed" in texts(colour, ".//p:eventOutcomeDetailNote")[0]
    assert any("trained weights" in role for role in texts(colour, ".//p:linkingAgentRole"))
    identifiers = {*texts(reel, ".//p:objectIdentifierValue"), *texts(reel, ".//p:eventIdentifierValue"),
                   *texts(reel, ".//p:agentIdentifierValue")}  # fmt: skip
    for link in ("linkingObjectIdentifierValue", "linkingAgentIdentifierValue", "relatedObjectIdentifierValue",
                 "relatedEventIdentifierValue", "linkingEventIdentifierValue"):  # fmt: skip
        assert set(texts(reel, f".//p:{link}")) <= identifiers
    gone = papers.premis((bag / "metadata/premis/gone.xml").read_bytes())
    assert texts(gone, "p:event//p:eventOutcome") == ["failure"]
    assert "FILE_MISSING" in texts(gone, "p:event//p:eventOutcomeDetailNote")[0]


def _assert_signed(bag: Path, signer: papers.Key) -> None:
    trusting = c2pa.Context(c2pa.Settings.from_dict({"trust": {"trust_anchors": signer.root}}))
    for name, media_type in (("reel_AIcolor.mkv", "video/x-matroska"), ("reel_AIcolor.access.mp4", "video/mp4"),
                             ("box/photo_AIcolor.png", "image/png"), ("plain.tif", "image/tiff")):  # fmt: skip
        data, sidecar = (bag / "data" / name).read_bytes(), (bag / "data" / f"{name}.c2pa").read_bytes()
        with c2pa.Reader(media_type, io.BytesIO(data), sidecar, trusting) as reader:
            assert reader.get_validation_state() == "Trusted", reader.json()
            told = reader.json()
        assert ("compositeWithTrainedAlgorithmicMedia" in told) == ("AIcolor" in name)
        with c2pa.Reader(media_type, io.BytesIO(data[:-1] + bytes([data[-1] ^ 1])), sidecar, trusting) as reader:
            assert reader.get_validation_state() == "Invalid"


def _assert_damage_is_found(
    house: House, job: int, bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert _run(house, capsys, "get", job, "--premis", "--out", out)[0] == 0
    papers.premis((out / "box/photo_AIcolor.premis.xml").read_bytes())
    with av.open(str(out / "reel_AIcolor.mkv")) as opened:
        assert "tint" in opened.metadata["AI_COLOUR"]
    with Image.open(out / "box/photo_AIcolor.png") as image:
        assert b"compositeWithTrainedAlgorithmicMedia" in image.info["xmp"]
    # The store and the folder hold links to one file: damage to it is seen in both. The bag has its own.
    master = house.store.local_path(house.result(job, "reel").outputs["master"].key)
    assert master is not None
    _damage(master)
    assert not (bag / "data" / "reel_AIcolor.mkv").samefile(master)
    _damage(bag / "data" / "reel_AIcolor.mkv")
    (tmp_path / "archive" / "photo.png").write_bytes(b"another file")
    code, found = _run(house, capsys, "verify", job, "--sources", "--out", out, "--bag", bag)
    assert (code, found["holds"]) == (1, False)
    failed = {(row["what"], row["code"]) for row in found["findings"] if row["state"] == "failed"}
    assert failed >= {("output", "CHECKSUM_MISMATCH"), ("source", "CHECKSUM_MISMATCH"), ("folder", "CHECKSUM_MISMATCH"),
                      ("bag", "CHECKSUM_MISMATCH"), ("signature", "SIGNATURE_INVALID")}  # fmt: skip
    assert {code for what, code in failed if what == "frames"} <= {"FRAMES_DIFFER", "CORRUPT"}
    assert any(what == "frames" for what, _ in failed)
    assert all(row["message"] and row["remedy"] for row in found["findings"] if row["state"] == "failed")


def _assert_earlier_generations_stay_on_record(
    house: House, job: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = parse("- color_enhance", "again")
    ledger.rerun(house.database, job, ledger.Selection(external_ids=("plain",)), recipe=recipe)
    house.wait_for(job)
    assert _run(house, capsys, "get", job, "--premis", "--item", "plain", "--out", tmp_path / "again")[0] == 0
    root = papers.premis((tmp_path / "again" / "plain.premis.xml").read_bytes())
    objects = texts(root, "p:object/p:objectIdentifier/p:objectIdentifierValue")
    assert {name.partition("/")[2] for name in objects} >= {"plain/g1/still", "plain/g2/still"}
