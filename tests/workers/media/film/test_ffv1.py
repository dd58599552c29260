from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from db.records import Blob, ReelFacts
from tests.support.reels import planes_of
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


def _write(path: Path, layout: Layout) -> list[Planes]:
    frames = [_frame(layout, seed) for seed in range(2)]
    with ffv1.open_writer(path, layout, SIZE, Fraction(24), FACTS) as write:
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
