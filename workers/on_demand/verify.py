"""Reads again what was read, decodes what was written, restores what was restored: the errand of ``reelwright verify``.

``workers.__main__`` hands in one order a line. Nothing is written but into a scratch folder that goes at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np

from db.records import Assignment, Blob, ItemView, Record, Source
from db.settings import Settings
from db.states import ItemKind, TaskKind
from db.store import open_store
from db.store.base import Store
from db.store.local import LocalStore
from workers import device as devices
from workers.media.film import framemd5
from workers.media.film.framemd5 import FrameChecksum
from workers.media.source import locate
from workers.media.stills import files as stills
from workers.tasks import probe, restore
from workers.tasks.restore_still import restore_still
from workers.workbench import Workbench

SHOWN_FRAMES = 20
"""Frames that are named when more are wrong."""


class VerifyOrder(Record):
    """What is to be looked at again: a source, a film or an item."""

    source: Source | None = None
    """To be read again."""
    film: Blob | None = None
    """A master, to be decoded."""
    item: ItemView | None = None
    """To be restored again."""
    still: Blob | None = None
    """What the item's still must look like."""
    sums: Blob | None = None
    """What the frames of the film, or of the item's reel, must be."""
    spans: tuple[tuple[int, int], ...] = ()
    """Half-open ranges of a reel's frames that are restored again."""


class Verifier:
    """Answers orders in one process, so that networks are loaded once."""

    def __init__(self, settings: Settings) -> None:
        """Take the house; the device is opened when something must be restored."""
        self._settings, self._store = settings, open_store(settings)
        self._device = ""

    def answer(self, order: VerifyOrder) -> dict[str, Any]:
        """Do one order.

        Returns:
            Of a source ``sha256`` and ``bytes``. Of frames ``frames``, ``wrong`` and ``missing`` (how many), ``first``
            (some wrong ones, each with what was expected and found). Of a rerun the same, or a still's ``sha256`` and
            ``same``; and ``signature``, the compute signature of this process.

        Raises:
            InputError: What was asked for cannot be read any more.
        """
        with TemporaryDirectory(prefix="reelwright-verify-") as folder:
            bench = self._bench(Path(folder))
            if order.source is not None:
                return _source_fixity(order.source, bench)
            if order.film is not None:
                film = bench.fetch(order.film, check=False)
                return _compare_frames(_reference_sums(order, bench), enumerate(framemd5.decode_checksums(film)))
            assert order.item is not None
            return self._restore_again(order.item, order, bench)

    def _restore_again(self, item: ItemView, order: VerifyOrder, bench: Workbench) -> dict[str, Any]:
        devices.make_deterministic(bench.device)
        signature = {"signature": devices.signature(bench.device)}
        item = item.model_copy(update={"base": None})  # taking frames over would prove nothing
        if item.source.kind is ItemKind.STILL:
            return signature | _compare_still(item, order, bench)
        return signature | _compare_rerun(item, order.spans, _reference_sums(order, bench), bench)

    def _bench(self, folder: Path) -> Workbench:
        if not self._device:
            self._device = devices.open_device(self._settings.device)
        store = cast(Store, _OverlayStore(self._store, LocalStore(folder / "store")))
        (folder / "scratch").mkdir()
        return Workbench(store, folder / "scratch", self._settings, "verify", self._device)


class _OverlayStore:
    """The house's store to read from, with a passing one to write to."""

    def __init__(self, base: Store, overlay: Store) -> None:
        self._base = base
        self.put, self.put_bytes = overlay.put, overlay.put_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._base, name)


def _source_fixity(source: Source, bench: Workbench) -> dict[str, Any]:
    # What the manifest gave was checked then; now the question is what was read then.
    plain = source.model_copy(update={"checksum": {}, "listing": None})
    digest, size = probe.check_fixity(locate(plain, bench.settings, bench.scratch), plain, bench)
    return {"sha256": digest, "bytes": size}


def _compare_still(item: ItemView, order: VerifyOrder, bench: Workbench) -> dict[str, Any]:
    """Restore a still again and compare the pictures; files may differ where a format notes when it was written."""
    assert order.still is not None
    blob = restore_still(item, bench).outputs["still"]
    if blob.sha256 == order.still.sha256:
        return {"sha256": blob.sha256, "same": True}
    now, then = (stills.read(path, bench.settings) for path in (bench.scratch / blob.name, bench.fetch(order.still)))
    alike = np.array_equal(now.samples, then.samples) and now.depth_bits == then.depth_bits
    alphas = [each.alpha for each in (now, then) if each.alpha is not None]
    alike = alike and (not alphas or (len(alphas) == 2 and np.array_equal(alphas[0], alphas[1])))
    return {"sha256": blob.sha256, "same": alike}


def _compare_rerun(
    item: ItemView, spans: tuple[tuple[int, int], ...], sums: list[FrameChecksum], bench: Workbench
) -> dict[str, Any]:
    return _compare_frames(sums, _restore_spans(item, spans, bench), sum(stop - start for start, stop in spans))


def _restore_spans(
    item: ItemView, spans: tuple[tuple[int, int], ...], bench: Workbench
) -> Iterator[tuple[int, FrameChecksum]]:
    """Restore spans again; yields each frame's number and what it is now."""
    for start, stop in spans:
        order = Assignment(
            task_id=0, attempt=0, kind=TaskKind.RESTORE, job_id=0, item=item, start_frame=start, stop_frame=stop,
            key_prefix=bench.key_prefix,
        )  # fmt: skip
        restore.restore_segment(order, bench)
        yield from enumerate(framemd5.decode_checksums(bench.scratch / "chunk.mkv"), start=start)


def _compare_frames(
    sums: list[FrameChecksum], frames: Iterator[tuple[int, FrameChecksum]], total: int | None = None
) -> dict[str, Any]:
    """Compare frames with a list of checksums; frames that are missing are wrong, too."""
    count, wrong = 0, 0
    first: list[dict[str, Any]] = []
    for number, sum_ in frames:
        count += 1
        expected = sums[number] if number < len(sums) else None
        if sum_ != expected:
            wrong += 1
            if len(first) < SHOWN_FRAMES:
                first.append({"frame": number, "expected": expected.md5 if expected else "", "found": sum_.md5})
    missing = (len(sums) if total is None else total) - count
    return {"frames": count, "wrong": wrong, "missing": max(0, missing), "first": first}


def _reference_sums(order: VerifyOrder, bench: Workbench) -> list[FrameChecksum]:
    assert order.sums is not None
    return framemd5.parse(bench.store.read(order.sums).decode("ascii", errors="replace"))
