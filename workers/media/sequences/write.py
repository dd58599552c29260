"""Writes restored frames as the kind of image sequence that came in.

A file has its source's name, number, format, depth and header; pixels are new, and so are fields that the manifest or
another size of the picture change. What a file holds depends on its own frame alone, never on where the reel was cut.
Where no step does anything, files are the source's own, byte for byte.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from db.errors import InputError
from db.records import ItemView
from db.settings import Settings
from workers.media import timecode
from workers.media.errors import reading, writing
from workers.media.film import ffv1
from workers.media.index import BLACK
from workers.media.pixels import Picture
from workers.media.reel import IndexedReel, check_samples
from workers.media.remote import Folder, as_folder
from workers.media.sequences import files as sequence
from workers.media.source import BLOCK_BYTES
from workers.media.stills import files as stills
from workers.media.stills import metadata as still_metadata
from workers.media.stills import openimage, xmp
from workers.media.stills.photo import Photo, kind_of
from workers.media.stills.pillow import JPEG_QUALITY

Write = Callable[[int, Picture], None]
"""Takes the absolute number of a frame and its picture, ``(C, H, W)`` float32."""

_CLOCKED = {"dpx", "exr"}
"""Formats whose headers say rate and timecode."""
_DPX_TRANSFERS = {"log": 1, "linear": 2, "gamma": 4}
"""Printing density, linear, unspecified video."""


def check_writable(folder: Folder, item: ItemView, first: int, settings: Settings, scratch: Path) -> tuple[str, ...]:
    """Make sure, before any work, that a sequence can be written again: one frame is, for a trial.

    Args:
        folder: The sequence's.
        item: For its recipe and what the manifest says.
        first: The first frame of the reel whose file can be read.
        settings: For the limits.
        scratch: Where the trial is written.

    Returns:
        Notes on what changes with it.

    Raises:
        InputError: ``UNSUPPORTED_PIXELS``: its format is read here but not written.
    """
    file = sequence.file_of(folder, item.source, first)
    photo = stills.read(file, settings)
    kind, _ = stills.kind_to_write(photo)
    if kind != photo.kind:
        raise InputError(
            f"{file}: {photo.kind.upper()} of this depth and these channels is read but not written",
            code="UNSUPPORTED_PIXELS",
            remedy="Leave `sequence` out of the outputs: the master holds the same pictures.",
        )
    notes = photo.notes
    if not item.recipe.has_effect:
        if not _overrides_header(item, kind):
            notes += ("No step changes anything: the files of the sequence are the source's own, byte for byte.",)
        return notes
    if photo.pages > 1:
        notes += (f"Of the {photo.pages} pages of each file the first alone is written.",)
    if kind == "jpeg":
        notes += (f"The frames are JPEG: each is written with quality {JPEG_QUALITY}, so not to the bit.",)
    return notes + _write_trial(photo, file, item, scratch)


def _write_trial(photo: Photo, file: Path, item: ItemView, scratch: Path) -> tuple[str, ...]:
    """Write a frame with the channels that it will have; returns notes on what is lost with every frame."""
    picture = stills.to_picture(photo)
    channels = ffv1.master_layout(photo.layout(), photo.samples.shape[:2], item.recipe).channels
    output = stills.with_picture(photo, np.broadcast_to(picture, (channels, *picture.shape[1:])))
    path = scratch / f"trial{file.suffix}"
    losses = stills.write_as(photo.kind, path, (output,)) + still_metadata.copy_metadata(file, path)
    path.unlink()
    return losses


@contextmanager
def open_archive(
    path: Path, reel: IndexedReel, item: ItemView, scratch: Path, mark: Mapping[str, str]
) -> Iterator[Write]:
    """Open an uncompressed tar file for a segment's files; yields a function that takes one frame after the other.

    Args:
        path: The tar file to write.
        reel: The reel as it is read.
        item: For its recipe and what the manifest says.
        scratch: Where one file after the other is made.
        mark: What the files' XMP must say, where their format has room for it; empty says nothing.

    Raises:
        InputError: ``CHANGED_DURING_WORK`` when a source's file is not the one that the probe saw.
        TransientError: A file cannot be written.
    """
    with writing(path.name):
        tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed below, inside `writing`

    def write(number: int, picture: Picture) -> None:
        name = sequence.result_name_of(reel.source, number)
        # Writers choose between sub-formats by the suffix, such as .jp2 and .j2k.
        target = scratch / f"frame{Path(name).suffix}"
        _write_frame(target, reel, item, number, picture, mark)
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = target.stat().st_size, 0o644
        with writing(path.name), target.open("rb") as file:
            tar.addfile(entry, file)
        target.unlink()

    try:
        yield write
    finally:
        with writing(path.name):
            tar.close()


def is_wanted(item: ItemView) -> bool:
    """Whether an image sequence is to be written again as one."""
    return item.source.sequence is not None and "sequence" in item.recipe.outputs


def notes(item: ItemView) -> Iterator[str]:
    """Say what a person should know of a reel's output ``sequence``, beside what the probe said."""
    if "sequence" in item.recipe.outputs and item.source.sequence is None:
        yield "The output `sequence` is made of image sequences alone: this reel is a film, and has its master."


def _overrides_header(item: ItemView, kind: str) -> bool:
    """Whether the manifest changes what a header of that kind says."""
    clock = bool(item.source.fps or item.source.timecode)
    return kind in _CLOCKED and (clock or (kind == "dpx" and bool(item.source.transfer)))


def _copies_file(item: ItemView, kind: str, number: int, source_frame: int) -> bool:
    """Whether a frame's file is that of the frame ``source_frame``, byte for byte."""
    if item.recipe.has_effect or source_frame == BLACK:
        return False
    return kind not in _CLOCKED or (source_frame == number and not _overrides_header(item, kind))


def _write_frame(
    path: Path, reel: IndexedReel, item: ItemView, number: int, picture: Picture, mark: Mapping[str, str]
) -> None:
    model = _header_frame(reel, number)
    file = sequence.file_of(as_folder(reel.path), reel.source, model)
    if _copies_file(item, kind_of(file), number, reel.source_frame(number)):
        with reading(str(file)), file.open("rb") as source, writing(path.name), path.open("wb") as target:
            shutil.copyfileobj(source, target, BLOCK_BYTES)
        return
    samples, photo = sequence.read(file, reel.layout, reel.source, reel.settings)
    check_samples(reel, model, samples)
    output = stills.with_picture(photo, picture)
    kind, _ = stills.kind_to_write(output)
    if kind != photo.kind:
        raise InputError(f"{file}: {photo.kind.upper()} cannot hold what was made of it", code="UNSUPPORTED_PIXELS")
    stills.write_as(kind, path, (_with_header(output, reel, number, model),))
    still_metadata.copy_metadata(file, path)
    xmp.copy_xmp(file, path, mark)


def _header_frame(reel: IndexedReel, number: int) -> int:
    """Return the frame whose file lends its header: the one shown, for a black one the nearest good one before."""
    source_frame = reel.source_frame(number)
    if source_frame != BLACK:
        return source_frame
    count = reel.facts.frame_count
    others = (*range(number - 1, -1, -1), *range(number + 1, count))
    return next(reel.source_frame(other) for other in others if reel.source_frame(other) != BLACK)


def _with_header(photo: Photo, reel: IndexedReel, number: int, model: int) -> Photo:
    """Return the still with the header that frame ``number`` should have, its file being made after ``model``'s."""
    if photo.head is not None:
        return _with_dpx_header(photo, reel, number, model)
    if photo.kind == "exr":
        code = openimage.read_timecode(photo)
        return openimage.with_timecode(photo, _timecode(code, reel, number, model), reel.source.fps)
    return photo


def _with_dpx_header(photo: Photo, reel: IndexedReel, number: int, model: int) -> Photo:
    head, source, changes = photo.head, reel.source, dict[str, Any]()
    assert head is not None
    code = _timecode(head.timecode, reel, number, model)
    if code != head.timecode:
        changes["timecode"] = timecode.pack(code)
    if source.fps:
        changes |= {"film_rate": float(source.fps), "video_rate": float(source.fps)}
    if source.transfer and source.transfer != head.transfer:
        changes["transfer"] = _DPX_TRANSFERS[source.transfer]
    if number != model:
        changes["file_name"] = sequence.result_name_of(source, number).encode(errors="replace")[:99]
        if 0 < head.field("frame_position") < 0xFFFFFFFF - reel.facts.frame_count:
            changes["frame_position"] = max(0, head.field("frame_position") + number - model)
    return replace(photo, head=head.with_fields(**changes)) if changes else photo


def _timecode(code: str, reel: IndexedReel, number: int, model: int) -> str:
    """Return the timecode of a frame: counted from the manifest's, else its file's own, or its neighbour's."""
    if reel.source.timecode:
        return timecode.add_frames(reel.source.timecode, number, reel.facts.rate)
    return timecode.add_frames(code, number - model, reel.facts.rate) if number != model else code
