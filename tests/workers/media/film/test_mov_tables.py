"""Tables that promise more than their file holds: a film of a kilobyte must not cost gigabytes."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from db.errors import InputError
from tests.support.reels import film, house, item, moving, probed
from workers.media.film import mov_tables


def yuv(count: int) -> list[list[object]]:
    return [[plane[0], plane[0][::2, ::2], plane[0][1::2, 1::2]] for plane in moving(count, 48, 64)]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return film(tmp_path / "a.mov", yuv(6), "yuv420p", codec="mpeg4", sound="pcm_s16le")  # type: ignore[arg-type]


def refused(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        probed(house(path.parent), item(path))
    return caught.value


def test_samples_without_bytes_are_not_made_room_for(clip: Path) -> None:
    body = bytearray(clip.read_bytes())
    at = body.index(b"stsz") + 8
    body[at : at + 8] = struct.pack(">II", 1, 30_000_000)
    clip.write_bytes(body)
    error = refused(clip)
    assert (error.code, "names 30,000,000 samples" in error.message) == ("CORRUPT", True)


def test_a_table_of_contents_that_unfolds_without_end_is_refused_by_its_own_words(clip: Path) -> None:
    body = clip.read_bytes()
    at = body.index(b"moov") - 4
    packed = zlib.compress(body[at:])
    inner = (
        struct.pack(">I4s4s", 12, b"dcom", b"zlib") + struct.pack(">I4sI", 12 + len(packed), b"cmvd", 1 << 30) + packed
    )
    moov = struct.pack(">I4sI4s", 16 + len(inner), b"moov", 8 + len(inner), b"cmov") + inner
    clip.write_bytes(body[:at] + moov)
    error = refused(clip)
    assert (error.code, "unfold to 1,073,741,824 bytes" in error.message) == ("TOO_LARGE", True)


def test_a_fragment_of_samples_without_bytes_is_refused(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", yuv(6), "yuv420p", codec="mpeg4")  # type: ignore[arg-type]
    trun = struct.pack(">I4sII", 16, b"trun", 0, 30_000_000)
    traf = struct.pack(">I4s", 8 + len(trun), b"traf") + trun
    path.write_bytes(path.read_bytes() + struct.pack(">I4s", 8 + len(traf), b"moof") + traf)
    assert "names 30,000,000 samples" in refused(path).message


@pytest.mark.parametrize("name", ["a.mov", "a.mp4", "a.mkv", "a.avi"])
def test_honest_films_pass(tmp_path: Path, name: str) -> None:
    path = film(tmp_path / name, yuv(6), "yuv420p", codec="mpeg4", sound="pcm_s16le" if name != "a.mp4" else "aac")  # type: ignore[arg-type]
    mov_tables.check_tables(path)
    assert probed(house(tmp_path), item(path)).facts is not None


@pytest.mark.parametrize(
    "tail", [b"", b"\0\0\0\0moov", b"\0\0\0\1moov\xff\xff\xff\xff\xff\xff\xff\xff", b"\0\0\0\x08trak" * 9]
)
def test_boxes_of_any_size_come_to_an_end(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.mov"
    path.write_bytes(b"\0\0\0\x08ftyp" + tail + b"\0\0\0\x04free\0\0\0\x00moov")
    mov_tables.check_tables(path)


def _with_edits(path: Path, handler: bytes, count: int) -> Path:
    """Let the track of a kind show all of itself ``count`` times."""
    body, track = path.read_bytes(), 0
    while handler not in body[track : track + _size(body, track)]:
        track = body.index(b"trak", track + 8) - 4
    edits = struct.pack(">I4sII", 16 + 12 * count, b"elst", 0, count) + struct.pack(">IiI", 250, 0, 1 << 16) * count
    at = body.index(b"edts", track) - 4
    moov = body.index(b"moov") - 4
    grown = bytearray(body[:at] + struct.pack(">I4s", 8 + len(edits), b"edts") + edits + body[at + _size(body, at) :])
    for holder in (moov, track):
        struct.pack_into(">I", grown, holder, _size(body, holder) + len(grown) - len(body))
    path.write_bytes(grown)
    return path


def _size(body: bytes, at: int) -> int:
    return int(struct.unpack_from(">I", body, at)[0])


def test_edit_lists_that_show_a_film_over_and_over_are_refused(clip: Path) -> None:
    error = refused(_with_edits(clip, b"vide", 5000))
    assert (error.code, "show 6 samples 30,000 times" in error.message) == ("CORRUPT", True)
    assert "edit lists" in error.remedy


def test_edit_lists_that_repeat_the_sound_alone_are_refused(clip: Path) -> None:
    assert "its edit lists show" in refused(_with_edits(clip, b"soun", 2_000_000)).message


def test_edit_lists_of_a_sound_file_beside_a_film_are_refused(clip: Path, tmp_path: Path) -> None:
    picture = film(tmp_path / "b.mkv", yuv(6), "yuv420p")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="its edit lists show"):
        probed(house(tmp_path), item(picture, sound=str(_with_edits(clip, b"vide", 5000))))


def test_a_film_that_is_shown_a_few_times_is_read(clip: Path) -> None:
    facts = probed(house(clip.parent), item(_with_edits(clip, b"vide", 3))).facts
    assert facts is not None
    assert facts.frame_count > 6
