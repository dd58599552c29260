from __future__ import annotations

import hashlib
import os
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from blake3 import blake3

from db import beneath, checksums
from db.errors import InputError
from db.records import ItemView, ReelFacts, Sequence
from db.states import ItemKind, TaskKind
from tests.support.reels import House, film, house, item, moving, order, planes_of, probed, whole_life
from workers.media import index, planes
from workers.media.reel import open_reel, pictures, read_samples
from workers.media.stills import files as stills
from workers.media.stills.files import Photo
from workers.tasks import probe


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _facts(at: House, item_: ItemView) -> ReelFacts:
    facts = probed(at, item_).facts
    assert facts is not None
    return facts


def _refused(at: House, item_: ItemView) -> InputError:
    with pytest.raises(InputError) as caught:
        probed(at, item_)
    return caught.value


def _refused_description(at: House, item_: ItemView) -> InputError:
    with pytest.raises(InputError) as caught:
        probe.describe(item_.source, at.settings, at.folder)
    return caught.value


def _h264(path: Path, count: int = 24, **more: object) -> Path:
    frames = [
        [plane[0], plane[0][::2, ::2] // 2 + 64, plane[0][1::2, ::2] // 2 + 64] for plane in moving(count, 48, 64)
    ]
    options = {"g": "8", "bf": "2", "threads": "1"}
    return film(path, frames, "yuv420p", codec="libx264", options=options, **more)  # type: ignore[arg-type]


def _sequence(folder: Path, numbers: list[int], size: tuple[int, int] = (12, 16), name: str = "png") -> Path:
    folder.mkdir()
    for number in numbers:
        samples = np.moveaxis(moving(1, *size, channels=3, seed=number)[0], 0, 2)
        stills.write(Photo(name, np.ascontiguousarray(samples), 8), folder / f"f_{number:04d}")
    return folder


def _numbered(start: int, end: int, **more: int) -> Sequence:
    return Sequence(prefix="f_", suffix=".png", padding=4, start=start, end=end, **more)


def test_a_grey_film_is_described_and_indexed(at: House, tmp_path: Path) -> None:
    frames = moving(9, bits=10)
    path = film(tmp_path / "a.mkv", frames, "gray10le", rate=Fraction(50, 3), tags={"timecode": "01:00:00:00"})
    moves: list[int] = []
    item_ = item(path)
    result = probe.probe(order(item_, TaskKind.PROBE), at.bench(moves.append))
    facts = result.facts
    assert facts is not None
    assert (facts.frame_count, facts.rate, facts.width, facts.height) == (9, Fraction(50, 3), 32, 24)
    assert (facts.mono, facts.depth_bits, facts.variable_rate, facts.mezzanine) == (True, 10, False, None)
    assert (facts.timecode, facts.damaged, facts.already_colored) == ("01:00:00:00", "", False)
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts.bytes == path.stat().st_size
    found = index.loads(at.store.read(result.outputs["index"]))
    expected = [blake3(frame[0].tobytes()).digest(16) for frame in frames]
    assert [row.tobytes() for row in found.digest] == expected
    assert found.key.all()
    assert len(moves) >= 9


def test_every_digest_of_the_manifest_is_checked(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(2), "gray")
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    assert _facts(at, item(path, checksum={"md5": md5.upper()})).frame_count == 2
    assert _refused(at, item(path, checksum={"md5": md5, "sha512": "0" * 128})).code == "CHECKSUM_MISMATCH"


def test_every_frame_of_a_sequence_is_checked_by_its_own_digest(at: House, tmp_path: Path) -> None:
    folder = _sequence(tmp_path / "frames", [1, 2, 3])
    sums = {path.name: {"md5": hashlib.md5(path.read_bytes()).hexdigest()} for path in sorted(folder.iterdir())}

    def listed() -> ItemView:
        data = checksums.dump(sums.items()).encode()
        blob = at.store.put_bytes(checksums.key(hashlib.sha256(data).hexdigest()), data)
        return item(folder, sequence=_numbered(1, 3), listing=blob)

    assert _facts(at, listed()).frame_count == 3
    sums["f_0002.png"]["md5"] = "0" * 32
    refused = _refused(at, listed())
    assert (refused.code, "f_0002.png" in refused.message) == ("CHECKSUM_MISMATCH", True)
    del sums["f_0002.png"]
    assert _refused(at, listed()).code == "FILE_UNEXPECTED"


def test_long_groups_of_pictures_can_be_read_from_any_frame(at: House, tmp_path: Path) -> None:
    path = _h264(tmp_path / "a.mp4")
    item_ = probed(at, item(path))
    assert item_.facts is not None
    reel = open_reel(item_, at.bench())
    whole = [picture for _, picture in pictures(reel, 0, 24)]
    assert sorted(np.flatnonzero(reel.index.key)) == [0, 8, 16]
    for start, stop in [(0, 3), (7, 10), (23, 24), (9, 17)]:
        part = [picture for _, picture in pictures(reel, start, stop)]
        assert all(np.array_equal(a, b) for a, b in zip(part, whole[start:stop], strict=True))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.mov"])
def test_a_film_without_its_end_is_called_truncated(at: House, tmp_path: Path, share: float, name: str) -> None:
    codec = "libx264" if name == "a.mov" else "ffv1"
    path = film(tmp_path / name, moving(24, 32, 48), "gray", codec=codec)
    cut = tmp_path / f"cut-{name}"
    cut.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert _refused(at, item(cut)).code == "TRUNCATED"


def test_what_is_left_of_a_truncated_film_is_copied_if_accepted(at: House, tmp_path: Path) -> None:
    frames = moving(24, 32, 48)
    path = film(tmp_path / "a.mkv", frames, "gray")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    item_ = probed(at, item(path, accept_damaged=True))
    facts = item_.facts
    assert facts is not None
    assert "declared" in facts.damaged
    assert 8 < facts.frame_count < 16
    assert facts.mezzanine is not None
    copied = planes_of(at.path(facts.mezzanine))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(copied, frames, strict=False))
    reel = open_reel(item_, at.bench())
    assert [number for number, _ in pictures(reel, 5, 8)] == [5, 6, 7]


def test_a_flipped_bit_inside_a_lossless_film_is_found_by_its_slice_checksum(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(12, 32, 48), "gray", options={"level": "3", "slicecrc": "1", "slices": "4"})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    error = _refused(at, item(path))
    assert error.code == "CORRUPT"
    assert "checksum" in error.message


def test_uneven_times_are_kept(at: House, tmp_path: Path) -> None:
    pts = [0, 40, 80, 200, 240, 280, 500, 540]
    facts = _facts(at, item(film(tmp_path / "a.mkv", moving(8), "gray", rate=Fraction(25), pts=pts)))
    assert facts.variable_rate
    found = index.loads(at.store.read(facts.index))
    assert [float(found.seconds(number)) for number in range(8)] == [value / 1000 for value in pts]


@pytest.mark.parametrize("rate", ["16", "50/3", "18", "24000/1001", "24", "25"])
def test_rates_survive_milliseconds(at: House, tmp_path: Path, rate: str) -> None:
    facts = _facts(at, item(film(tmp_path / "a.mkv", moving(20), "gray", rate=Fraction(rate))))
    assert facts.rate == Fraction(rate)
    assert not facts.variable_rate


def test_the_manifests_rate_wins(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(4), "gray", rate=Fraction(24))
    assert _facts(at, item(path, fps="18")).rate == 18


def test_flagged_interlace_is_refused_unless_accepted(at: House, tmp_path: Path) -> None:
    frames = [[plane[0], plane[0][::2, ::2], plane[0][::2, ::2]] for plane in moving(8, 48, 64)]
    options = {"flags": "+ildct+ilme", "top": "1", "field_order": "tt"}
    path = film(tmp_path / "a.mpg", frames, "yuv420p", rate=Fraction(25), codec="mpeg2video", options=options)
    assert _refused(at, item(path)).code == "INTERLACED"
    assert _facts(at, item(path, accept_interlaced=True)).frame_count == 8


def test_woven_fields_are_seen_though_nothing_flags_them(at: House, tmp_path: Path) -> None:
    still = moving(1, 480, 64)[0][0]
    smooth = np.sort(still, axis=1)
    frames = []
    for n in range(12):
        plane = np.roll(smooth, 6 * n, axis=1)
        plane[1::2] = np.roll(smooth, 6 * n + 3, axis=1)[1::2]
        frames.append([plane])
    error = _refused(at, item(film(tmp_path / "a.mkv", frames, "gray", rate=Fraction(25))))
    assert error.code == "INTERLACED"
    assert "woven" in error.message


def test_colour_is_told_from_grey_in_a_colour_container(at: House, tmp_path: Path) -> None:
    grey = [[frame[0]] * 3 for frame in moving(3)]
    colour = [list(frame) for frame in moving(3, channels=3)]
    assert not _facts(at, item(_rgb(tmp_path / "g.mkv", grey))).already_colored
    assert _facts(at, item(_rgb(tmp_path / "c.mkv", colour))).already_colored


def _rgb(path: Path, frames: list[list[np.ndarray]]) -> Path:
    return film(path, [[plane.astype(np.uint16) << 2 for plane in frame] for frame in frames], "gbrp10le")


def test_a_sequence_is_read_by_its_numbers(at: House, tmp_path: Path) -> None:
    folder = _sequence(tmp_path / "reel", [10, 12, 14])
    item_ = probed(at, item(folder, sequence=_numbered(10, 14, step=2)))
    assert item_.facts is not None
    assert (item_.facts.frame_count, item_.facts.rate, item_.facts.mono) == (3, 24, False)
    joined = b"".join((folder / f"f_{number:04d}.png").read_bytes() for number in (10, 12, 14))
    assert item_.facts.sha256 == hashlib.sha256(joined).hexdigest()
    first = next(read_samples(open_reel(item_, at.bench())))
    assert np.array_equal(np.stack(first), moving(1, 12, 16, channels=3, seed=10)[0])


def test_holes_of_a_sequence_are_named_or_filled(at: House, tmp_path: Path) -> None:
    folder = _sequence(tmp_path / "reel", [1, 2, 5, 9])
    error = _refused(at, item(folder, sequence=_numbered(1, 9)))
    assert error.code == "SEQUENCE_GAP"
    assert "3-4, 6-8" in error.message
    held = open_reel(probed(at, item(folder, sequence=_numbered(1, 9), missing="hold")), at.bench())
    assert [number for number, _ in pictures(held, 0, 9)] == [0, 1, 1, 1, 4, 4, 4, 4, 8]
    black = open_reel(probed(at, item(folder, sequence=_numbered(1, 9), missing="black")), at.bench())
    shown = list(pictures(black, 0, 9))
    assert [number for number, _ in shown] == [0, 1, -1, -1, 4, -1, -1, -1, 8]
    assert not shown[2][1].any()


@pytest.mark.parametrize("missing", ["error", "hold", "black"])
def test_a_reel_that_is_nearly_all_holes_is_refused_before_a_list_of_them_is_made(
    at: House, tmp_path: Path, missing: str
) -> None:
    folder = _sequence(tmp_path / "reel", [1, 2])
    source = item(folder, sequence=_numbered(1, 10**12), missing=missing)
    for error in (_refused(at, source), _refused_description(at, source)):
        assert error.code == "SEQUENCE_GAP"
        assert "2 of 1,000,000,000,000 frames are there" in error.message


def test_files_of_another_name_are_no_frames(at: House, tmp_path: Path) -> None:
    folder = _sequence(tmp_path / "reel", [1])
    for number in range(9):
        (folder / f"thumb_{number}.jpg").touch()
    error = _refused(at, item(folder, sequence=_numbered(1, 500), missing="hold"))
    assert error.message.endswith("1 of 500 frames are there; at most 100 may be lacking for each")


def test_frames_are_named_once_whatever_is_wrong_with_them(at: House, tmp_path: Path) -> None:
    """Digests, then pictures: each is looked at twice."""
    folder = _sequence(tmp_path / "reel", list(range(1, 9)))
    sums = {path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in folder.iterdir()}
    for number in (2, 3):
        path = folder / f"f_{number:04d}.png"
        path.write_bytes(path.read_bytes()[:-20])
    for number in (5, 6):
        (folder / f"f_{number:04d}.png").unlink()
        (folder / f"f_{number:04d}.png").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(b"x")
    data = checksums.dump(sums.items()).encode()
    listing = at.store.put_bytes(checksums.key(hashlib.sha256(data).hexdigest()), data)
    roots = beneath.real_roots((str(folder),))
    error = _refused(at, item(folder, sequence=_numbered(1, 8), listing=listing, roots=roots))
    assert "4 of 8 frames cannot be used: 2-3 (CHECKSUM_MISMATCH); 5-6 (PATH_UNSAFE); 2-3 (TRUNCATED)." in error.message
    whole = item(folder, sequence=_numbered(1, 8), checksum={"md5": "0" * 32}, roots=roots)
    assert "2 of 8 frames cannot be used: 5-6 (PATH_UNSAFE)" in _refused(at, whole).message


def test_a_frame_of_another_size_is_named(at: House, tmp_path: Path) -> None:
    folder = _sequence(tmp_path / "reel", [1, 2, 3])
    (folder / "f_0002.png").unlink()
    samples = np.zeros((8, 16, 3), np.uint8)
    stills.write(Photo("png", samples, 8), folder / "f_0002")
    error = _refused(at, item(folder, sequence=_numbered(1, 3)))
    assert error.code == "MIXED_GEOMETRY"
    assert "f_0002.png" in error.message


def test_what_cannot_be_opened_has_a_code(at: House, tmp_path: Path) -> None:
    (tmp_path / "empty.mkv").touch()
    (tmp_path / "text.mkv").write_text("no film\n" * 100)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\n/etc/hostname\n")
    os.mkfifo(tmp_path / "pipe")
    codes = {
        "empty.mkv": "ZERO_BYTE", "text.mkv": "UNKNOWN_FORMAT", "list.m3u8": "UNKNOWN_FORMAT", "pipe": "NOT_A_FILE",
        "nothing": "FILE_MISSING",
    }  # fmt: skip
    for name, code in codes.items():
        assert _refused(at, item(tmp_path / name)).code == code
        with pytest.raises(InputError) as caught:
            probe.describe(item(tmp_path / name).source, at.settings, tmp_path)
        assert caught.value.code == code


def test_sound_alone_is_no_reel(at: House, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(8000))
    assert _refused(at, item(tmp_path / "a.wav")).code == "NO_PICTURE"


def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(2), "gray")
    small = house(tmp_path, max_pixels=700)
    assert _refused(small, item(path)).code == "TOO_LARGE"


def test_a_dry_run_reads_headers_alone(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(16, bits=12), "gray12le", rate=Fraction(50, 3))
    found = probe.describe(item(path).source, at.settings, tmp_path)
    assert found == {
        "kind": "reel", "width": 32, "height": 24, "frame_count": 16, "rate": "50/3", "header_rate": "50/3",
        "depth_bits": 12, "mono": True, "bytes": path.stat().st_size, "notes": [],
    }  # fmt: skip
    folder = _sequence(tmp_path / "reel", [1, 2])
    found = probe.describe(item(folder, sequence=_numbered(1, 2), fps="18").source, at.settings, tmp_path)
    assert (found["frame_count"], found["rate"], found["header_rate"], found["width"]) == (2, "18", None, 16)
    found = probe.describe(item(folder / "f_0001.png", kind=ItemKind.STILL).source, at.settings, tmp_path)
    assert (found["kind"], found["frame_count"], found["mono"]) == ("still", 1, False)


def test_a_source_that_changes_after_the_probe_is_noticed(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(8), "gray")
    item_ = probed(at, item(path))
    film(path, moving(8, seed=1), "gray")
    with pytest.raises(InputError) as caught:
        list(pictures(open_reel(item_, at.bench()), 2, 4))
    assert caught.value.code == "CHANGED_DURING_WORK"
    assert "frame 2" in caught.value.message


def test_a_reel_is_turned_once_as_its_header_asks(at: House, tmp_path: Path) -> None:
    plain = moving(2, 16, 24)
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=16, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 24, 16, "gray"
        stream.set_display_rotation(90)
        for n, frame in enumerate(plain):
            picture = planes.to_frame(
                (frame[0],), planes.layout_of("gray", full_range=True, matrix="unknown", lines=16)
            )
            picture.pts = n
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    item_ = probed(at, item(path))
    assert item_.facts is not None
    assert (item_.facts.rotation_degrees, item_.facts.width, item_.facts.height) == (90, 16, 24)
    _, picture_ = next(pictures(open_reel(item_, at.bench()), 0, 1))
    # Counter-clockwise: the right edge of what is stored becomes the top.
    assert np.array_equal(np.rint(picture_[0][0] * 219 + 16), plain[0][0][:, -1])


YEARS = 5 * 365 * 86_400_000


def test_time_stamps_by_which_a_reel_lasts_for_years_are_the_sources_fault(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(4), "gray", pts=[0, 40, 80, YEARS])
    error = _refused(at, item(path))
    assert (error.code, "4 frames last 43,800 hours" in error.message) == ("CORRUPT", True)
    assert "field fps" in error.remedy
    facts = probed(at, item(path, fps="24")).facts  # a person knows better
    assert facts is not None
    assert (facts.rate, facts.variable_rate) == (24, False)


def test_a_slow_reel_is_still_a_reel(at: House, tmp_path: Path) -> None:
    view, result = whole_life(at, item(film(tmp_path / "a.mkv", moving(4), "gray", pts=[0, 40, 80, 3_600_000])))
    assert view.facts is not None
    assert view.facts.variable_rate
    assert len(planes_of(at.path(result.outputs["access"]))) == 4


@pytest.mark.parametrize(("pts", "fps"), [([0, 40, 80, 3_600_000], None), (None, "1/1000")])
def test_an_access_copy_is_not_made_of_next_to_nothing(
    at: House, tmp_path: Path, pts: list[int] | None, fps: str | None
) -> None:
    path = film(tmp_path / "a.mkv", moving(4), "gray", pts=pts)
    error = _refused(at, item(path, "{recipe: [], access: {fps: 120}}", **({"fps": fps} if fps else {})))
    assert error.code == "TOO_LARGE"
    assert "access: 120 frames per second make" in error.message
