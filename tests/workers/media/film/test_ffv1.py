from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from db.errors import OutOfMemoryError, TransientError
from db.records import Blob, ReelFacts
from tests.support.reels import planes_of
from workers import background
from workers.media import planes
from workers.media.film import ffv1
from workers.media.pixels import Layout, Planes

SIZE = (66, 98)
GREY, RGB, LOW_CHROMA = Layout("gray", 8), Layout("rgb", 8), Layout("yuv", 8, False, "bt709", (2, 2))
DEEP = [Layout("gray", 10), Layout("gray", 16), Layout("rgb", 12), Layout("yuv", 10, False, "bt709", (2, 1))]
LAYOUTS = [GREY, RGB, LOW_CHROMA, Layout("yuv", 8, matrix="bt709"), *DEEP]
FACTS = ReelFacts(
    frame_count=2, rate="24", width=SIZE[1], height=SIZE[0], depth_bits=8, pixel_format="gray", mono=True, bytes=1,
    sha256="0", index=Blob(key="none", sha256="0", bytes=0),
)  # fmt: skip


def _frame(layout: Layout, seed: int) -> Planes:
    rng = np.random.default_rng(seed)
    small = tuple(-(-side // factor) for side, factor in zip(SIZE, layout.shrink[::-1], strict=True))
    shapes = {"gray": [SIZE], "rgb": [SIZE] * 3, "yuv": [SIZE, small, small]}[layout.model]
    return tuple(rng.integers(0, 2**layout.depth_bits, shape).astype(layout.dtype) for shape in shapes)


def _write(path: Path, layout: Layout, count: int = 2, threads: int = 1) -> list[Planes]:
    frames = [_frame(layout, seed) for seed in range(count)]
    with (
        background.open_crew(threads, threads) as crew,
        ffv1.open_writer(path, layout, SIZE, Fraction(24), FACTS, crew) as write,
    ):
        for frame in frames:
            write(frame)
    return frames


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_films_coder_is_told_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Layout) -> None:
    expected = ffv1.suiting_coder(layout)
    for name, coder in (("now", None), ("earlier", "1")):
        if coder:
            monkeypatch.setattr(ffv1, "suiting_coder", lambda layout, coder=coder: coder)
        _write(tmp_path / name, layout)
        with av.open(str(tmp_path / name)) as film:
            header = film.streams.video[0].codec_context.extradata
        assert ffv1.coder_of(header, layout, SIZE) == (coder or expected)
    assert ffv1.coder_of(b"other", layout, SIZE) is ffv1.coder_of(None, layout, SIZE) is None


def test_eight_bits_have_the_fast_coder_but_in_rgb() -> None:
    fast = {layout for layout in LAYOUTS if ffv1.suiting_coder(layout) != ffv1.suiting_coder(Layout("gray", 16))}
    assert fast == {layout for layout in LAYOUTS if layout.depth_bits == 8 and layout.model != "rgb"}


@pytest.mark.parametrize("layout", [GREY, LOW_CHROMA], ids=str)
def test_samples_come_back_as_they_were(tmp_path: Path, layout: Layout) -> None:
    frames = _write(tmp_path / "a.mkv", layout)
    for made, expected in zip(planes_of(tmp_path / "a.mkv"), frames, strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(made, expected, strict=True))


@pytest.mark.parametrize("most_beside", [64, 2, 1, 0])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_film_is_the_same_by_any_number_of_threads_and_encoders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Layout, most_beside: int
) -> None:
    _write(tmp_path / "lone", layout, 7)
    monkeypatch.setattr(ffv1, "_MOST_PX_BESIDE", most_beside * SIZE[0] * SIZE[1])
    for threads in (2, 3, 16):
        _write(tmp_path / str(threads), layout, 7, threads)
        assert (tmp_path / str(threads)).read_bytes() == (tmp_path / "lone").read_bytes()


@pytest.mark.parametrize("threads", [1, 3])
def test_a_full_disk_ends_a_film(threads: int) -> None:
    with pytest.raises(TransientError) as caught:
        _write(Path("/dev/full"), RGB, 50, threads)
    assert caught.value.code == "NO_SPACE"


@pytest.mark.parametrize("threads", [1, 3])
def test_what_an_encoder_raises_ends_a_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    to_frame, asked = planes.to_frame, []

    def fail_at_third(samples: Planes, layout: Layout) -> av.VideoFrame:
        asked.append(samples)
        if len(asked) == 3:
            raise MemoryError
        return to_frame(samples, layout)

    monkeypatch.setattr(planes, "to_frame", fail_at_third)
    with pytest.raises(OutOfMemoryError):
        _write(tmp_path / "film", GREY, 50, threads)
    assert len(asked) <= 3 + threads
