"""Room for work: whether scratch and store have space, before it starts and while it goes on.

``probe`` claims what a reel will need at its worst moment, so a reel that cannot be finished fails before hours are
spent on it; ``attempt`` watches what each attempt really takes.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile

from db.errors import InputError, TransientError, lacks_room
from db.recipe import ACCESS_CRF, Recipe
from db.records import ItemView, ReelFacts
from db.settings import Settings
from db.store.base import Store
from workers.media.film import ffv1
from workers.media.pixels import Layout, Planes
from workers.media.reel import layout_of
from workers.media.sequences import write as sequence_write
from workers.workbench import Workbench

RESERVE_BYTES = 64 << 20
"""What is left free on a disk for everybody else."""
_TRIAL_BYTES = 4 << 20
LOOK_SECONDS = 1.0
"""Between looks at the disk while work goes on."""
_SAMPLED_FRAMES = 3
_MARGIN = 1.25
"""Frames that were not sampled may be harder to compress, and restored ones too."""
_ACCESS_SHARE = 0.25
"""An access copy's size as a share of its master's, at most."""
_HALVING_CRF = 6
"""By how much an access copy's CRF must rise to make it half as large."""


def sample_frame_bytes(frames: Iterable[Planes], layout: Layout, facts: ReelFacts, bench: Workbench) -> int:
    """Return about how many bytes a frame takes in FFV1, found by encoding the first of ``frames``."""
    path, count = bench.scratch / "sample.mkv", 0
    first = list(islice(frames, _SAMPLED_FRAMES))
    if not first:
        return 0
    height, width = first[0][0].shape
    with ffv1.open_writer(path, layout, (height, width), facts.rate, facts) as write:
        for samples in first:
            write(samples)
            count += 1
    size_bytes = path.stat().st_size
    path.unlink()
    return -(-size_bytes // count)


def raw_frame_bytes(facts: ReelFacts) -> int:
    """Return how many bytes a frame takes as it is: what no encoding of it should exceed."""
    samples = facts.width * facts.height * (1 if facts.mono else 3)
    return samples * (1 if facts.depth_bits == 8 else 2)


def require_for_copy(frames: int, frame_bytes_: int, bench: Workbench) -> None:
    """Make sure that a lossless copy of a whole reel fits; raises as :func:`require_for_reel`."""
    need = int(frames * frame_bytes_ * _MARGIN)
    _require_space(need, need, f"A lossless copy of the reel's {frames} frames", bench)


def require_for_reel(item: ItemView, facts: ReelFacts, frame_bytes_: int, bench: Workbench) -> None:
    """Make sure that a reel can be finished: chunks, master and written files in the store, copies in scratch.

    Args:
        item: With the recipe: enlarged and coloured frames take more.
        facts: Of the reel.
        frame_bytes_: Of the source's frames in FFV1, as :func:`sample_frame_bytes` finds it.
        bench: Whose scratch folder and store are meant.

    Raises:
        InputError: ``NO_SPACE``, with what is needed and what is there.
    """
    source = layout_of(facts)
    layout = ffv1.master_layout(source, (facts.height, facts.width), item.recipe)
    height, width = ffv1.master_size(facts, item.recipe)
    larger = height * width / (facts.height * facts.width) * _samples_per_pixel(layout) / _samples_per_pixel(source)
    master = int(facts.frame_count * frame_bytes_ * larger * _MARGIN)
    access = int(master * _access_share(item.recipe)) if "access" in item.recipe.outputs else 0
    archive_bytes = int(facts.bytes * larger) if sequence_write.is_wanted(item) else 0
    # A segment's written files lie in scratch beside its chunk, long before the master does.
    a_segment = min(1.0, bench.settings.segment_frames / facts.frame_count)
    scratch = max(master + access, int((master + archive_bytes) * a_segment) if archive_bytes else 0)
    _require_space(scratch, 2 * master + access + archive_bytes, f"The reel of {facts.frame_count} frames", bench)


def _access_share(recipe: Recipe) -> float:
    """Return the most that an access copy takes of its master's size: where nothing is lost, all of it."""
    better = max(0.0, ACCESS_CRF - recipe.access_crf) / _HALVING_CRF
    return min(1.0, _ACCESS_SHARE * 2**better)


@dataclass
class SpaceWatch:
    """Passes on that work moved, and looks now and then whether it still has room."""

    scratch: Path
    quota_bytes: int
    """Most that the scratch folder may hold; 0 sets no limit."""
    report: Callable[[int], None]
    _looked_at: float = field(default=float("-inf"))

    def __call__(self, frames: int) -> None:
        """See ``Workbench.moved``.

        Raises:
            InputError: ``NO_SPACE`` when the work takes more scratch than its quota.
            TransientError: ``NO_SPACE`` when the disk fills up: others may free some.
        """
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._check_space()
        self.report(frames)

    def _check_space(self) -> None:
        if self.quota_bytes and (scratch_bytes := _folder_bytes(self.scratch)) > self.quota_bytes:
            raise InputError(
                f"The work takes {_format_bytes(scratch_bytes)} of scratch space, "
                f"its quota is {_format_bytes(self.quota_bytes)}",
                code="NO_SPACE",
                remedy="Raise scratch_quota_bytes, or cut the reel into shorter ones.",
            )
        free = shutil.disk_usage(self.scratch).free
        if free < RESERVE_BYTES:
            message = f"{self.scratch.parent} has {_format_bytes(free)} left"
            raise TransientError(message, code="NO_SPACE") from OSError(errno.ENOSPC, message)


def full_folder(store: Store, settings: Settings) -> Path | None:
    """Return the scratch or store folder that has no room, not even for others' files; none when both have some."""
    store_folder = store.local_path("room")
    folders = (settings.scratch_folder, store_folder.parent if store_folder else None)
    return next((folder for folder in folders if folder and folder.exists() and _is_full(folder)), None)


def _is_full(folder: Path) -> bool:
    if shutil.disk_usage(folder).free < RESERVE_BYTES:
        return True
    try:  # a quota shows only to who writes
        with TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, _TRIAL_BYTES)
    except OSError as error:
        return lacks_room(error) and error.errno != errno.EFBIG  # a limit on each file passes for nobody
    return False


def _require_space(scratch_bytes: int, store_bytes: int, what: str, bench: Workbench) -> None:
    quota = bench.settings.scratch_quota_bytes
    free = shutil.disk_usage(bench.scratch).free - RESERVE_BYTES
    if quota and scratch_bytes > quota:
        raise InputError(
            f"{what} needs about {_format_bytes(scratch_bytes)} of scratch space, the quota is {_format_bytes(quota)}",
            code="NO_SPACE",
            remedy="Raise scratch_quota_bytes, or cut the reel into shorter ones.",
        )
    if scratch_bytes > free:
        raise InputError(
            f"{what} needs about {_format_bytes(scratch_bytes)} of scratch space, "
            f"{bench.scratch.parent} has {_format_bytes(free)}",
            code="NO_SPACE",
        )
    folder = bench.store.local_path("room")
    if folder is None:
        return  # object storage tells nobody how much it takes
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free - RESERVE_BYTES
    if store_bytes > free:
        message = f"{what} needs about {_format_bytes(store_bytes)} of the store, which has {_format_bytes(free)} left"
        raise InputError(message, code="NO_SPACE")


def _samples_per_pixel(layout: Layout) -> float:
    """Return how many samples stand for a pixel."""
    return 1.0 if layout.model == "gray" else 1 + 2 / (layout.shrink[0] * layout.shrink[1])


def _folder_bytes(folder: Path) -> int:
    total = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(inside, name)).st_size
            except FileNotFoundError:
                continue  # removed while it was looked for
    return total


def _format_bytes(size_bytes: int) -> str:
    return f"{max(0, size_bytes) / 1e9:.2f} GB" if size_bytes >= 1e8 else f"{max(0, size_bytes) / 1e6:.2f} MB"
