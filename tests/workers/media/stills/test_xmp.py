"""XMP that was carried over and marked, read back by Pillow and OpenImageIO."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from xml.parsers import expat

import av
import numpy as np
import OpenImageIO as oiio
import pytest
import tifffile
from lxml import etree
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.support.reels import film, moving
from workers.media.stills import xmp

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
MARK = {xmp.SOURCE_TYPE: "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"}
SUFFIXES = (".jpg", ".png", ".tif", ".webp", ".jp2")
BODY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">'
    '<rdf:Description rdf:about="uuid:7" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="box 4">'
    '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Straße &amp; Brücke</rdf:li></rdf:Alt></dc:title>'
    "</rdf:Description></rdf:RDF></x:xmpmeta>\n" + " " * 400 + '<?xpacket end="w"?>'
).encode()


def _picture(path: Path) -> Path:
    samples = np.moveaxis(moving(1, 16, 24, channels=3)[0], 0, 2).copy()
    Image.fromarray(samples).save(path, **({"lossless": True} if path.suffix == ".webp" else {}))
    return path


def _seen_by_pillow(path: Path) -> bytes | None:
    with Image.open(path) as image:
        image.load()
        if path.suffix == ".tif":
            found: Any = image.tag_v2.get(700)  # type: ignore[attr-defined]
        elif path.suffix == ".jp2":
            data = path.read_bytes()
            place = data.find(bytes.fromhex("be7acfcb97a942e89c71999491e3afac"))
            size_bytes = int.from_bytes(data[place - 8 : place - 4], "big")
            found = None if place < 0 else data[place + 16 : place - 8 + size_bytes]
        else:
            found = image.info.get("xmp")
    return bytes(found) if found is not None else None


def _values(body: bytes, name: str) -> list[str]:
    return [each.text or "" for each in etree.fromstring(body.strip(b"\0")).iter(f"{{{EXTENSION}}}{name}")]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_packet_is_carried_byte_for_byte_and_moves_no_pixel(tmp_path: Path, suffix: str) -> None:
    source, target = _picture(tmp_path / f"a{suffix}"), _picture(tmp_path / f"b{suffix}")
    before = np.asarray(Image.open(target))
    assert xmp.write(source, xmp.Packet(BODY))
    assert xmp.copy_xmp(source, target, {}) == ()
    assert _seen_by_pillow(target) == BODY
    assert np.array_equal(np.asarray(Image.open(target)), before)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_mark_joins_what_was_there(tmp_path: Path, suffix: str) -> None:
    source, target = _picture(tmp_path / f"a{suffix}"), _picture(tmp_path / f"b{suffix}")
    xmp.write(source, xmp.Packet(BODY))
    for _ in range(2):  # a second time it stands there once all the same
        assert xmp.copy_xmp(source, target, MARK | {xmp.AI_SYSTEM: "a < b & c"}) == ()
        source = target
    seen = _seen_by_pillow(target)
    assert seen is not None
    assert _values(seen, "DigitalSourceType") == [MARK[xmp.SOURCE_TYPE]]
    assert _values(seen, "AISystemUsed") == ["a < b & c"]
    tree = etree.fromstring(seen)
    assert "Straße & Brücke" in "".join(tree.itertext())
    assert {each.get(f"{{{RDF}}}about") for each in tree.iter(f"{{{RDF}}}Description")} == {"uuid:7"}
    assert xmp.properties(xmp.read(target)) == MARK | {"AISystemUsed": "a < b & c"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_without_a_packet_gets_one_for_the_mark_alone(tmp_path: Path, suffix: str) -> None:
    source, target = _picture(tmp_path / f"a{suffix}"), _picture(tmp_path / f"b{suffix}")
    before = target.read_bytes()
    xmp.copy_xmp(source, target, {})
    assert target.read_bytes() == before
    xmp.copy_xmp(source, target, MARK)
    seen = _seen_by_pillow(target)
    assert seen is not None
    assert _values(seen, "DigitalSourceType") == [MARK[xmp.SOURCE_TYPE]]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_openimageio_reads_the_file_and_the_packet(tmp_path: Path, suffix: str) -> None:
    path = _picture(tmp_path / f"a{suffix}")
    samples = np.asarray(oiio.ImageBuf(str(path)).get_pixels(oiio.UINT8))
    xmp.write(path, xmp.with_mark(xmp.Packet(BODY), MARK))
    again = oiio.ImageBuf(str(path))
    assert np.array_equal(np.asarray(again.get_pixels(oiio.UINT8)), samples)
    assert again.spec().get_string_attribute("dc:source") == "box 4"
    assert again.spec().get_string_attribute("Iptc4xmpExt:DigitalSourceType") == MARK[xmp.SOURCE_TYPE]


@pytest.mark.parametrize("written", ['e:DigitalSourceType="old"', "e:DigitalSourceType='old' dc:x='1'"])
def test_an_older_mark_is_replaced_also_where_it_is_an_attribute(written: str) -> None:
    body = (
        f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="" xmlns:dc="d" xmlns:e="{EXTENSION}" {written}>'
        "<e:DigitalSourceType>older</e:DigitalSourceType><e:Other>kept</e:Other></rdf:Description></rdf:RDF>"
    ).encode()
    made = xmp.with_mark(xmp.Packet(body), MARK)
    assert xmp.properties(made) == MARK | {"Other": "kept"}
    assert b"old" not in made.body


def test_sixteen_bit_text_is_understood() -> None:
    made = xmp.with_mark(xmp.Packet(BODY.decode().encode("utf-16")), MARK)
    assert _values(made.body, "DigitalSourceType") == [MARK[xmp.SOURCE_TYPE]]


@pytest.mark.parametrize(
    "hostile",
    [b"", b"rubbish", b"<a>", BODY.replace(b"rdf:RDF", b"rdf:XXX"), BODY[:200],
     b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"\xff\xfe\x00"],
)  # fmt: skip
def test_a_packet_that_is_none_costs_a_note_and_never_the_mark(tmp_path: Path, hostile: bytes) -> None:
    source, target = _picture(tmp_path / "a.png"), _picture(tmp_path / "b.png")
    xmp.write(source, xmp.Packet(hostile))
    (note,) = xmp.copy_xmp(source, target, MARK)
    assert "not carried over" in note
    assert xmp.properties(xmp.read(target)) == MARK


def test_a_packet_too_long_for_jpeg_gives_way_to_the_mark(tmp_path: Path) -> None:
    source, target = _picture(tmp_path / "a.png"), _picture(tmp_path / "b.jpg")
    xmp.write(source, xmp.Packet(BODY.replace(b" " * 400, b" " * 70_000)))
    (note,) = xmp.copy_xmp(source, target, MARK)
    assert "no room" in note
    assert xmp.properties(xmp.read(target)) == MARK


def test_of_a_packet_that_never_was_it_is_not_said_that_it_was_lost(tmp_path: Path) -> None:
    source, target = _picture(tmp_path / "a.bmp"), _picture(tmp_path / "b.bmp")
    (note,) = xmp.copy_xmp(source, target, MARK)
    assert "of the source" not in note
    xmp.write(_picture(tmp_path / "a.png"), xmp.Packet(BODY))
    (note,) = xmp.copy_xmp(tmp_path / "a.png", target, MARK)
    assert "XMP of the source could not be carried over" in note


def test_segments_that_continue_a_packet_stay_as_they_are(tmp_path: Path) -> None:
    source, target = _picture(tmp_path / "a.jpg"), _picture(tmp_path / "b.jpg")
    more = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + struct.pack(">II", 5, 0) + b"hello"
    xmp.write(source, xmp.Packet(BODY, (more,)))
    xmp.copy_xmp(source, target, MARK)
    found = xmp.read(target)
    assert found is not None
    assert found.more == (more,)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_kind_of_tiff_takes_a_packet(tmp_path: Path, big: bool, order: str) -> None:
    samples = moving(1, 16, 24, bits=16)[0][0]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, samples, bigtiff=big, byteorder=order, description="a street")  # type: ignore[arg-type]
    xmp.write(path, xmp.Packet(BODY))
    xmp.write(path, xmp.with_mark(xmp.read(path), MARK))
    with tifffile.TiffFile(path) as opened:
        assert np.array_equal(opened.asarray(), samples)
        tags = opened.pages[0].tags  # type: ignore[union-attr]
        assert _values(bytes(tags[700].value), "DigitalSourceType") == [MARK[xmp.SOURCE_TYPE]]
        assert tags["ImageDescription"].value == "a street"


def test_a_film_in_mp4_takes_a_mark_and_still_plays(tmp_path: Path) -> None:
    frames = [[plane[0], plane[0][::2, ::2], plane[0][::2, ::2]] for plane in moving(4)]
    path = film(tmp_path / "a.mp4", frames, "yuv420p", codec="libx264")
    for _ in range(2):
        xmp.copy_xmp(None, path, MARK)
    assert xmp.properties(xmp.read(path)) == MARK
    with av.open(str(path)) as opened:
        assert len(list(opened.decode(video=0))) == 4


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("keep", [3, 14, 40, 90])
def test_a_file_cut_short_has_no_packet_and_no_traceback(tmp_path: Path, suffix: str, keep: int) -> None:
    path = _picture(tmp_path / f"a{suffix}")
    xmp.write(path, xmp.Packet(BODY))
    path.write_bytes(path.read_bytes()[:keep])
    assert xmp.read(path) is None


def test_what_is_written_is_plain_rdf() -> None:
    made = xmp.with_mark(None, MARK)
    tree = ET.fromstring(made.body)
    assert tree.tag == "{adobe:ns:meta/}xmpmeta"
    assert tree.find(f"{{{RDF}}}RDF/{{{RDF}}}Description/{{{EXTENSION}}}DigitalSourceType") is not None


def _packet(inside: str, attributes: str = "") -> bytes:
    return (
        f'<rdf:RDF xmlns:rdf="{RDF}" xmlns:e="{EXTENSION}"><rdf:Description rdf:about=""{attributes}>{inside}'
        "</rdf:Description></rdf:RDF>"
    ).encode()


def _packed(path: Path, body: bytes) -> Path:
    """A PNG whose packet is packed."""
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", body.decode(), zip=True)
    Image.fromarray(np.zeros((16, 24), np.uint8)).save(path, pnginfo=info)
    return path


@pytest.mark.parametrize(
    ("inside", "attributes"),
    [
        ("<e:DigitalSourceType>old</e:DigitalSourceType>" * 5000, ""),
        ('<e:Other e:DigitalSourceType="old"/>' * 5000, ' e:DigitalSourceType="old"'),
        ("<e:DigitalSourceType>" * 500 + "old" + "</e:DigitalSourceType>" * 500, ""),
    ],
)
def test_a_property_that_stands_thousands_of_times_is_replaced_in_one_look(
    inside: str, attributes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, parser = [], expat.ParserCreate
    monkeypatch.setattr(expat, "ParserCreate", lambda **more: looks.append(1) or parser(**more))
    made = xmp.with_mark(xmp.Packet(_packet(inside, attributes)), MARK | {xmp.AI_SYSTEM: "x"})
    assert len(looks) <= 2  # one to find, one to prove
    assert b"old" not in made.body
    assert xmp.properties(made) == ({"Other": ""} if attributes else {}) | MARK | {xmp.AI_SYSTEM: "x"}


@pytest.mark.parametrize(
    "body",
    [
        _packet("", ' x=" e:DigitalSourceType=\'a\'" e:DigitalSourceType="b"'),
        b'<e:DigitalSourceType xmlns:e="' + EXTENSION.encode() + b'">' + _packet("") + b"</e:DigitalSourceType>",
    ],
)
def test_words_that_only_look_like_a_property_never_hide_the_mark(tmp_path: Path, body: bytes) -> None:
    source, target = _packed(tmp_path / "a.png", body), _picture(tmp_path / "b.png")
    xmp.copy_xmp(source, target, MARK)
    found = xmp.read(target)
    assert found is not None
    assert xmp.properties(found) == MARK
    assert etree.fromstring(found.body) is not None


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_a_packet_that_unfolds_to_more_than_an_editor_writes_stays_behind(tmp_path: Path, suffix: str) -> None:
    body = BODY.replace(b" " * 400, b" " * (xmp.MAX_PACKET_BYTES + 1))
    source, target = _packed(tmp_path / "a.png", body), _picture(tmp_path / f"b{suffix}")
    assert source.stat().st_size < 20_000
    for mark in ({}, MARK):
        (note,) = xmp.copy_xmp(source, target, mark)
        assert "4,194,304" in note
    assert target.stat().st_size < 20_000
    assert xmp.properties(xmp.read(target)) == MARK


@pytest.mark.parametrize("suffix", [".tif", ".webp", ".jp2"])
def test_a_packet_that_lies_there_unpacked_has_the_same_bound(tmp_path: Path, suffix: str) -> None:
    source, target = _picture(tmp_path / f"a{suffix}"), _picture(tmp_path / f"b{suffix}")
    xmp.write(source, xmp.Packet(BODY.replace(b" " * 400, b" " * (xmp.MAX_PACKET_BYTES + 1))))
    (note,) = xmp.copy_xmp(source, target, MARK)
    assert "was not carried over" in note
    assert xmp.properties(xmp.read(target)) == MARK


@pytest.mark.parametrize("empty", ["", " ", ' about=""'])
@pytest.mark.parametrize("prefix", ["rdf:", "r:", ""])
def test_a_packet_that_says_nothing_is_no_damaged_one(tmp_path: Path, prefix: str, empty: str) -> None:
    name = f"xmlns{':' * bool(prefix)}{prefix.rstrip(':')}"
    body = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><{prefix}RDF {name}="{RDF}"{empty}/></x:xmpmeta>'.encode()
    marked = xmp.with_mark(xmp.Packet(body), {"DigitalSourceType": "here"})
    assert xmp.properties(marked) == {"DigitalSourceType": "here"}
