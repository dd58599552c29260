"""What is fuzzed: each target takes bytes, and lets nothing out but what a caller is told to catch."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from lxml import etree
from PIL import Image

from db import recipe as recipes
from db.errors import ReelwrightError
from db.records import Source
from db.settings import Settings
from db.states import ItemKind
from orchestrator import manifest
from workers.media.film import scan as film_scan
from workers.media.stills import files as stills
from workers.media.stills import metadata, tiff_tags, xmp
from workers.models.checkpoints import formats, tensor_bundle
from workers.tasks import probe

Target = Callable[[bytes, Path], None]
"""Takes the bytes, and a folder of its own to put them into."""

SETTINGS = Settings(max_pixels=1_000_000, max_still_bytes=10_000_000, max_manifest_line_bytes=4096, allow_fetch=True)
MARK = {xmp.SOURCE_TYPE: "http://example.org/type", xmp.AI_SYSTEM: "a < b"}
_MANIFESTS = (
    "a.csv",
    "a.jsonl",
    "a.yaml",
    "bagit.txt",
    "manifest-sha256.txt",
    "manifest.json",
    "metadata.csv",
)
_PLAIN: dict[str, bytes] = {}


def read_still(data: bytes, folder: Path) -> None:
    """Decode a picture of any kind, and what may lie beside its pixels."""
    path = _written(folder / "a", data)
    with suppress(ReelwrightError):
        stills.to_picture(stills.read(path, SETTINGS, accept_damaged=bool(len(data) & 1)))


def carry_luggage(data: bytes, folder: Path) -> None:
    """Take over tags and XMP into a sound file of the same kind, which must stay one."""
    source = _written(folder / "source", data)
    with suppress(ReelwrightError):
        kind = stills.kind_of(source)
        if kind not in {"png", "jpeg", "tiff", "webp", "jpeg2000"}:
            return
        target = _written(folder / f"target.{kind}", _plain(kind, folder))
        metadata.copy_metadata(source, target)
        xmp.copy_xmp(source, target, MARK)
        assert MARK.items() <= xmp.properties(xmp.read(target)).items() or kind == "jpeg"
        stills.read(target, SETTINGS)


def mark_packet(data: bytes, folder: Path) -> None:
    """Put our mark into a packet: it must be there once, in something that others can read."""
    packet = xmp.Packet(data)
    xmp.properties(packet)
    with suppress(ValueError):
        body = xmp.with_mark(packet, MARK).body
        # Names of name spaces that are no addresses, and such as hold a brace, are errors to the one or the other.
        tree = etree.fromstring(body.rstrip(b"\0"), etree.XMLParser(recover=True, huge_tree=True))
        name = f"{{{xmp.IPTC_EXTENSION}}}{xmp.SOURCE_TYPE}"
        assert [each.text for each in tree.iter(name)] == [MARK[xmp.SOURCE_TYPE]]


def follow_tags(data: bytes, folder: Path) -> None:
    """Follow the directories of a TIFF file, whatever pictures are in it."""
    source, target = _written(folder / "a.tif", b"II" + data), _written(folder / "b.tif", _plain("tiff", folder))
    if data[:2] == b"MM":
        source.write_bytes(data)
    with suppress(ValueError, struct.error, IndexError):
        tiff_tags.page_count(source)
    with suppress(ValueError, struct.error, IndexError):
        tiff_tags.copy_tags(source, target)
    stills.read(target, SETTINGS)


def probe_film(data: bytes, folder: Path) -> None:
    """Look a film through, as a dry run and as the probe do."""
    path = _written(folder / "a.film", data)
    source = Source(uri=str(path), kind=ItemKind.REEL)
    with suppress(ReelwrightError):
        probe.describe(source, SETTINGS, folder)
    with suppress(ReelwrightError):
        film_scan.scan_film(path, source, SETTINGS, lambda: None)


def read_manifest(data: bytes, folder: Path) -> None:
    """Read a manifest; the first byte says under which name."""
    name = _MANIFESTS[data[0] % len(_MANIFESTS)] if data else "a.csv"
    path = _written(folder / name, data[1:])
    with suppress(ReelwrightError):
        opened = manifest.open_manifest(path if name.startswith("a.") else folder)
        for _ in manifest.lines(opened, recipes.resolve("identity"), SETTINGS, roots=(), check_files=True):
            pass


def read_recipe(data: bytes, folder: Path) -> None:
    """Read a recipe."""
    with suppress(ReelwrightError):
        recipes.parse(data.decode("utf-8", "replace"), "of the fuzzer")


def read_weights(data: bytes, folder: Path) -> None:
    """Read a file of weights, in any of the forms that are known."""
    path = _written(folder / "w.pth", data)
    with suppress(ReelwrightError):
        formats.read(path)
        formats.metadata_text(path)


def read_bundle(data: bytes, folder: Path) -> None:
    """Read the table of a TensorFlow checkpoint."""
    _written(folder / "b.index", data)
    _written(folder / "b.data-00000-of-00001", bytes(64))
    with suppress(ReelwrightError):
        bundle = tensor_bundle.Bundle(folder / "b")
        for name in bundle.entries:
            with suppress(ReelwrightError):
                bundle.read([name])


TARGETS: dict[str, Target] = {
    "stills": read_still, "luggage": carry_luggage, "xmp": mark_packet, "tags": follow_tags, "films": probe_film,
    "manifests": read_manifest, "recipes": read_recipe, "weights": read_weights, "bundles": read_bundle,
}  # fmt: skip


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _plain(kind: str, folder: Path) -> bytes:
    """Return a sound picture of a kind."""
    if kind not in _PLAIN:
        path = folder / "plain"
        names = {"png": "PNG", "jpeg": "JPEG", "tiff": "TIFF", "webp": "WEBP", "jpeg2000": "JPEG2000"}
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(path, names[kind])
        _PLAIN[kind] = path.read_bytes()
    return _PLAIN[kind]
