"""One frame, or one still, of a source or of what was made of it, as a picture to look at.

``python -m workers look`` hands in one order a line. A page that steps through a reel asks for one frame after the
other, of both sides in turn: what is open stays open for a while, and the next frame is decoded on from the last.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from tempfile import mkdtemp, mkstemp
from typing import Any, Literal

from db import beneath
from db.beneath import S3
from db.errors import InputError
from db.records import Blob, ItemView, Record
from db.settings import Settings
from db.states import ItemKind
from db.store import open_store
from workers.media import display, index, planes, reel
from workers.media.display import Form, Shown
from workers.media.film import framemd5, master_frames
from workers.media.film import scan as film_scan
from workers.media.film.timing import reel_clock
from workers.media.pixels import to_picture
from workers.media.remote import Place, RemoteFile
from workers.media.source import fixity, local_still
from workers.media.stills import files as stills
from workers.media.stills import openimage, tiff_tags
from workers.workbench import Workbench

MOST_WIDTH_PX, MOST_HEIGHT_PX = 4096, 8192
MOST_ENLARGED = 8
_KEPT_OPEN = 4
"""Both sides of two items."""
_KEPT_SECONDS = 60.0
"""A film that is read on after longer is opened anew: a server may have closed what it lies on."""
_READ_AHEAD_FRAMES = 256
"""Frames that are planned for at once when a reel is stepped through."""

Pictures = Generator[Shown, None, None]
Region = tuple[int, int, int, int]
"""Left, top, width and height in pixels of the source."""


class LookOrder(Record):
    """What is to be looked at."""

    item: ItemView
    of: Literal["source", "master"]
    master: Blob | None = None
    """What was made of it: a reel's master, or a still."""
    sums: Blob | None = None
    """What the master's frames must be; none does without that check."""
    sha256: str = ""
    """What a still's file was when it was restored; empty does without that check."""
    frame: int = 0
    """Absolute number; of a still its page."""
    region: Region | None = None
    """None shows all of it. What was enlarged is cut where the source's region lies."""
    width: int | None = None
    """Pixels of what comes out; none takes the region's own."""
    form: Form = "png"
    """``png`` is exact, ``webp`` small."""
    folder: str
    """Where to write."""


@dataclass(frozen=True)
class _Side:
    """A source, or what was made of it, that can be looked at by frame number."""

    count: int
    read_from: Callable[[int], Pictures]
    """Yields the pictures from a number on."""
    scale: Callable[[Shown], int] = lambda shown: 1
    """How many times as wide a picture is as the source's."""
    aspect: Fraction = Fraction(1)


@dataclass
class _OpenSide:
    """A side that is open, with the picture that was looked at last."""

    side: _Side
    folder: Path
    state: tuple[int, ...]
    """What the disk said of the source when it was opened."""
    used_at: float = field(default_factory=time.monotonic)
    number: int = -1
    shown: Shown | None = None
    frames: Pictures | None = None

    def picture(self, number: int) -> Shown:
        if number != self.number or self.shown is None:
            self.shown = next(self.frames, None) if self.frames and number == self.number + 1 else None
            self.number = number
        if self.shown is None:  # another frame than the next one, or what was planned for is through
            self._stop_reading()
            self.frames = self.side.read_from(number)
            self.shown = next(self.frames, None)
        if self.shown is None:
            raise InputError(f"Frame {number} is not there to be read", code="FRAMES_DIFFER")
        self.used_at = time.monotonic()
        return self.shown

    def close(self) -> None:
        self._stop_reading()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stop_reading(self) -> None:
        if self.frames is not None:
            self.frames.close()


class Looker:
    """Answers orders one after the other."""

    def __init__(self, settings: Settings) -> None:
        """Open nothing yet."""
        self._settings = settings
        self._open: OrderedDict[str, _OpenSide] = OrderedDict()

    def answer(self, order: LookOrder) -> dict[str, Any]:
        """Do one order.

        Returns:
            ``file``, ``media_type``, its ``width`` and ``height``; ``frame`` and ``frames``, how many there are;
            ``picture``, width and height of the whole in pixels of the source; ``sample_aspect``, the width of such a
            pixel over its height; ``seconds`` that it took.

        Raises:
            InputError: ``BAD_VALUE`` for a frame or region that is not there; ``FILE_MISSING``,
                ``CHANGED_DURING_WORK`` … when the source is not the one that was restored; ``FRAMES_DIFFER`` when
                the master is not.
        """
        began = time.perf_counter()
        key = order.model_dump_json(include={"item", "of", "master", "sums", "sha256"})
        opened = self._opened(key, order)
        if not 0 <= order.frame < opened.side.count:
            raise InputError(f"{order.item.external_id}: no frame {order.frame}; there are {_range(opened.side.count)}")
        try:
            shown = opened.picture(order.frame)
        except BaseException:
            self._drop(key)
            raise
        scale = opened.side.scale(shown)
        whole = (shown.shape[1] // scale, shown.shape[0] // scale)
        region = _check_region(order, whole)
        size = _size(region, order.width)
        part = display.cut_and_scale(shown, tuple(scale * edge for edge in region), size)  # type: ignore[arg-type]
        path = _new_file(order)
        display.write(part, path, order.form)
        return {
            "file": str(path), "media_type": f"image/{order.form}", "width": size[0], "height": size[1],
            "frame": order.frame, "frames": opened.side.count, "picture": whole,
            "sample_aspect": str(opened.side.aspect), "seconds": time.perf_counter() - began,
        }  # fmt: skip

    def close(self) -> None:
        """Let go of everything."""
        for key in list(self._open):
            self._drop(key)

    def _opened(self, key: str, order: LookOrder) -> _OpenSide:
        """Return the side that an order is about, open; a source that is another by now is opened anew."""
        for other, opened in list(self._open.items()):
            if time.monotonic() - opened.used_at > _KEPT_SECONDS:
                self._drop(other)
        state = _source_state(order)
        if key in self._open and self._open[key].state != state:
            self._drop(key)
        if key not in self._open:
            self._open[key] = self._open_side(order, state)
        self._open.move_to_end(key)
        while len(self._open) > _KEPT_OPEN:
            self._drop(next(iter(self._open)))
        return self._open[key]

    def _open_side(self, order: LookOrder, state: tuple[int, ...]) -> _OpenSide:
        folder = Path(mkdtemp(prefix="look-", dir=order.folder))
        bench = Workbench(open_store(self._settings), folder, self._settings, "look")
        try:
            return _OpenSide(_open(order, bench), folder, state)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _drop(self, key: str) -> None:
        if opened := self._open.pop(key, None):
            opened.close()


def _open(order: LookOrder, bench: Workbench) -> _Side:
    item, is_still = order.item, order.item.source.kind is ItemKind.STILL
    if order.of == "source":
        return _source_still(order, bench) if is_still else _source_reel(item, bench)
    if order.master is None:
        raise InputError(f"{item.external_id}: there is no result of it to look at")
    return _made_still(order, order.master, bench) if is_still else _made_reel(order, order.master, bench)


def _source_reel(item: ItemView, bench: Workbench) -> _Side:
    source = reel.open_reel(item, bench)

    def read_from(number: int) -> Pictures:
        stop = min(source.facts.frame_count, number + _READ_AHEAD_FRAMES)
        for _, picture in reel.pictures(source, number, stop):
            yield display.to_shown(picture)

    return _Side(source.facts.frame_count, read_from, aspect=source.facts.sample_aspect)


def _made_reel(order: LookOrder, master: Blob, bench: Workbench) -> _Side:
    item, facts = order.item, order.item.facts
    if facts is None:
        raise InputError(f"{item.source.uri}: the reel has not been probed")
    clock = reel_clock(item.source, facts, index.loads(bench.store.read(facts.index)))
    sums = framemd5.parse(bench.store.read(order.sums).decode("ascii", errors="replace")) if order.sums else None
    place, samples = _place_of(master, bench), reel.layout_of(facts)

    def read_from(number: int) -> Pictures:
        with closing(master_frames.read_from(place, number, clock, bench.settings)) as frames:
            for count, frame in enumerate(frames, start=number):
                if sums is not None and framemd5.frame_checksum(frame) != sums[count]:
                    raise InputError(
                        f"{item.external_id} master: frame {count} is not what was made", code="FRAMES_DIFFER"
                    )
                layout = film_scan.layout_of(frame, "ffv1", master.name)
                # Floating point samples were written in display gamma.
                layout = replace(layout, transfer="gamma" if samples.floating else samples.transfer)
                yield display.to_shown(to_picture(planes.to_planes(frame, layout), layout))

    return _Side(facts.frame_count, read_from, lambda shown: max(1, shown.shape[1] // facts.width), facts.sample_aspect)


def _source_still(order: LookOrder, bench: Workbench) -> _Side:
    source = order.item.source
    path = local_still(source, bench.settings, bench.scratch)
    digest = fixity([path], source.checksum, bench.advance, size_bytes=source.bytes)
    if order.sha256 and digest != order.sha256:
        raise InputError(f"{path}: not the file that was restored", code="CHANGED_DURING_WORK")
    return _still(path, order.item, bench.settings)


def _made_still(order: LookOrder, still: Blob, bench: Workbench) -> _Side:
    side = _still(bench.fetch(still), order.item, bench.settings)
    return replace(side, scale=lambda shown: order.item.recipe.scale)


def _still(path: Path, item: ItemView, settings: Settings) -> _Side:
    head = stills.header(path, settings)

    def read_from(page: int) -> Pictures:
        photo = stills.read(path, settings, accept_damaged=item.source.accept_damaged, page=page)
        if item.source.transfer:
            photo = replace(photo, transfer=item.source.transfer)
        # A profile is of samples as they are stored; those of light have been brought to display gamma.
        profile = openimage.icc_profile(photo) if photo.transfer == "gamma" else b""
        yield display.to_shown(stills.to_picture(photo), profile)

    return _Side(min(head.pages, tiff_tags.MAX_PAGES) if head.kind == "tiff" else 1, read_from)


def _place_of(blob: Blob, bench: Workbench) -> Place:
    """Return where a master is read: the store's own file, or by ranges."""
    if bench.store.uri.startswith(S3):
        return RemoteFile(f"{bench.store.uri.rstrip('/')}/{blob.key}", bench.settings)
    # Every frame is checked by itself, so the file need not be read whole for its digest.
    return bench.fetch(blob, check=False)


def _source_state(order: LookOrder) -> tuple[int, ...]:
    """Return what tells a source from another at its path; raises as ``beneath.source_error`` where there is none.

    Nothing of what lies in S3, of which every piece is checked as it comes, nor of what is read from the store.
    """
    source, facts = order.item.source, order.item.facts
    if order.of == "master" or source.uri.startswith(S3) or (facts and facts.mezzanine):
        return ()
    try:
        status = beneath.status(source.uri, source.roots)
    except OSError as error:
        raise beneath.source_error(source.uri, error) from error
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _range(count: int) -> str:
    return f"0 to {count - 1}" if count > 1 else "no others than 0"


def _check_region(order: LookOrder, whole: tuple[int, int]) -> Region:
    left, top, width, height = order.region or (0, 0, *whole)
    if min(left, top) < 0 or min(width, height) < 1 or left + width > whole[0] or top + height > whole[1]:
        raise InputError(
            f"{order.item.external_id}: {width}x{height} pixels at {left}, {top} do not lie in {whole[0]}x{whole[1]}"
        )
    return left, top, width, height


def _size(region: Region, wanted: int | None) -> tuple[int, int]:
    """Return width and height of what comes out: as wide as is wanted, but not enlarged further than makes sense."""
    width, height = region[2:]
    if wanted is not None and not 1 <= wanted <= MOST_WIDTH_PX:
        raise InputError(f"A picture is shown 1 to {MOST_WIDTH_PX} pixels wide, not {wanted}")
    out = min(wanted or width, MOST_ENLARGED * width, MOST_WIDTH_PX, max(1, MOST_HEIGHT_PX * width // height))
    return out, min(MOST_HEIGHT_PX, max(1, round(out * height / width)))


def _new_file(order: LookOrder) -> Path:
    """Return a new file whose name says nothing of what is in it."""
    # A random name may begin with a character that none of the store's keys may begin with.
    descriptor, name = mkstemp(suffix=f".{order.form}", prefix="picture-", dir=order.folder)
    os.close(descriptor)
    return Path(name)
