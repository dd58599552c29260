"""What goes in, what comes out, what is kept: the table in ``docs/formats.md``, made anew and held to the page.

Over every odd file of the shared media and over films, photos and sequences that are made here. What came out is
read by PyAV, Pillow and OpenImageIO alone. With ``WRITE_FORMATS=1`` the page is written, else it must be
the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
import OpenImageIO as oiio
import pytest
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from db.errors import InputError
from db.records import Sequence
from db.states import ItemKind
from orchestrator.results.sequence_tar import is_part, unpack
from tests.support.reels import House, film, house, item, moving, whole_life
from workers.tasks.restore_still import restore_still

ODD = Path(__file__).parents[3] / "shared" / "media" / "odd"
PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
BEGIN, END = "<!-- begin generated -->", "<!-- end generated -->"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not ODD.is_dir(), reason="no shared media beside the checkout"),
]


@dataclass
class Row:
    """One file: what it was, what came of it, and in what they agree."""

    name: str
    source: str
    result: str = ""
    kept: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def line(self, notes: list[str]) -> str:
        """Return the row of the table; what was told is named by its number among ``notes``, which gains it."""
        notes += [note for note in self.told if note not in notes]
        numbers = ", ".join(str(notes.index(note) + 1) for note in self.told)
        cells = (f"`{self.name}`", self.source, self.result, numbers)
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def section(title: str, rows: list[Row]) -> str:
    """Return one section of the page: rows with the same things kept stand together, and notes stand below once."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(f"Kept: {', '.join(row.kept)}." if row.kept else "Refused.", []).append(row)
    parts, notes = [f"### {title}\n\n"], list[str]()
    for kept in sorted(groups, key=lambda words: (words == "Refused.", -len(groups[words]))):
        parts.append(f"{kept}\n\n| file | in | out | notes |\n| --- | --- | --- | --- |\n")
        parts += [f"{row.line(notes)}\n" for row in groups[kept]]
        parts.append("\n")
    parts += [f"{number}. {note}.\n" for number, note in enumerate(notes, 1)]
    return "".join(parts) + ("\n" if notes else "")


# -- films


@dataclass(frozen=True)
class Film:
    """What PyAV says of a film."""

    codec: str
    pixels: str
    size: tuple[int, int]
    rate: Fraction
    aspect: Fraction
    colours: tuple[int, int, int, int]
    """Range, matrix, primaries, transfer."""
    times: tuple[Fraction, ...]
    frames: tuple[Any, ...]
    sound: tuple[tuple[str, str], ...]
    """Codec and language of each track."""
    timecode: str
    chapters: tuple[str, ...]
    attachments: tuple[str, ...]
    subtitles: tuple[str, ...]
    tags: dict[str, str]

    def words(self) -> str:
        sound = f", {' + '.join(codec for codec, _ in self.sound)}" if self.sound else ""
        return f"{self.codec} {self.pixels} {self.size[0]}×{self.size[1]} at {self.rate}{sound}"


def look(path: Path, plain: str | None = None) -> Film:
    """Decode a film; pixels are compared in ``plain``, a format that loses none of them."""
    with av.open(str(path), metadata_errors="replace") as opened:
        covers = av.stream.Disposition.attached_pic
        stream = next(each for each in opened.streams.video if not each.disposition & covers)
        sound = tuple((each.codec_context.codec.canonical_name, each.language or "") for each in opened.streams.audio)
        words = tuple(each.codec_context.name for each in opened.streams.subtitles if each.codec_context)
        attached = tuple(each.metadata.get("filename", "") for each in opened.streams if each.type == "attachment")
        code = next(
            (tags[key] for tags in (opened.metadata, *(each.metadata for each in opened.streams)) for key in tags
             if key.lower() == "timecode"), "",
        )  # fmt: skip
        times, frames, colours, pixels = [], [], (0, 0, 0, 0), ""
        for frame in opened.decode(stream):
            pixels = pixels or frame.format.name
            colours = (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc)
            times.append((frame.pts or 0) * (frame.time_base or Fraction(1)))
            wanted = plain or _plain(frame.format.name)
            frames.append(_array(frame.reformat(format=wanted) if frame.format.name != wanted else frame))
        return Film(
            stream.codec_context.name, pixels, (stream.width, stream.height),
            Fraction(stream.average_rate or stream.guessed_rate or 0),
            Fraction(stream.sample_aspect_ratio or 1), colours, tuple(time - times[0] for time in times),
            tuple(frames), sound, code, tuple(each["metadata"].get("title", "") for each in opened.chapters()),
            attached, words, dict(opened.metadata),
        )  # fmt: skip


def _array(frame: av.VideoFrame) -> Any:
    planes = []
    for number, plane in enumerate(frame.planes):
        part = next(each for each in frame.format.components if each.plane == number)
        packed = sum(each.plane == number for each in frame.format.components)
        dtype = np.uint16 if part.bits > 8 else np.uint8
        rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
        planes.append(rows[:, : plane.width * (packed if packed > 1 else 1)].ravel())
    return np.concatenate(planes)


def _plain(name: str) -> str:
    """Name the format in which pixels are compared: packed colours without alpha, which no master has."""
    if name in {"argb", "rgba", "bgr0", "rgb24", "pal8", "bgra"}:
        return "rgb24"
    return {"rgb48le": "gbrp16le", "rgba64le": "gbrp16le"}.get(name, name)


def _film_row(at: House, name: str, path: Path, recipe: str = "[]", **more: Any) -> Row:
    source = look(path)
    row = Row(name, source.words())
    try:
        item_, result = whole_life(at, item(path, recipe, **more), 32)
    except InputError as error:
        row.result = f"refused: `{error.code}`"
        return row
    facts = item_.facts
    assert facts is not None
    master = look(at.path(result.outputs["master"]))
    row.result = master.words()
    same: list[tuple[str, bool]] = [
        ("every frame", len(master.frames) == len(source.frames)),
        ("" if facts.variable_rate else "rate", abs(float(master.rate - source.rate)) < 0.01),
        ("times", _times_agree(source, master)),
        ("pixel shape", master.aspect == source.aspect),
        ("colour tags", all(ours == theirs or theirs in (0, 2) for ours, theirs in
                            zip(master.colours[1:], source.colours[1:], strict=True))),
    ]  # fmt: skip
    if source.sound:
        same.append((f"{len(source.sound)} × sound", result.facts["copied_sound"] != [] and _proven(result)))
    for words, ours, theirs in (
        ("timecode", master.timecode, source.timecode), ("chapters", master.chapters, source.chapters),
        ("attachments", master.attachments, source.attachments), ("subtitles", master.subtitles, source.subtitles),
    ):  # fmt: skip
        if theirs:
            same.append((words, ours == theirs))
    same.append((_exactness(source, master, facts), True))
    row.kept = [words for words, agrees in same if agrees and words]
    row.told = [
        f"**lost: {words}**" for words, agrees in same if words and not agrees and not _told_of(words, result.notes)
    ]
    row.told += [note.rstrip(".") for note in result.notes if not note.startswith("Frames were turned")]
    if facts.rotation_degrees:
        row.told.append(f"turned by {facts.rotation_degrees}°, as the header asks")
    return row


def _times_agree(source: Film, master: Film) -> bool:
    if len(source.times) != len(master.times):
        return False
    return all(abs(float(ours - theirs)) < 0.0021 for ours, theirs in zip(master.times, source.times, strict=True))


def _proven(result: Any) -> bool:
    return all(len(track["md5"]) == 32 and track["packets"] for track in result.facts["copied_sound"])


def _told_of(words: str, notes: tuple[str, ...]) -> bool:
    """Whether a note already says what is not as it was: frames and times that deinterlacing changed, sound beside."""
    if any("Whole frames were made" in note for note in notes):
        return words in {"every frame", "rate", "times"}
    return "sound" in words and any("lies beside" in note for note in notes)


def _exactness(source: Film, master: Film, facts: Any) -> str:
    """Say how near the master's samples are to the source's."""
    if facts.deinterlaced or facts.rotation_degrees or len(source.frames) != len(master.frames):
        return ""
    pairs = list(zip(source.frames, master.frames, strict=True))
    if _plain(source.pixels) == _plain(master.pixels):
        worst = max(int(np.abs(ours.astype(int) - theirs.astype(int)).max()) for ours, theirs in pairs)
        return "every sample" if worst == 0 else f"samples to ±{worst}"
    if source.pixels.startswith("yuv") and master.pixels.startswith("yuv"):
        luma = facts.width * facts.height
        worst = max(int(np.abs(a[:luma].astype(int) - b[:luma].astype(int)).max()) for a, b in pairs)
        return "every luma sample" if worst == 0 else f"luma to ±{worst}"
    return "depth" if facts.depth_bits else ""


def _made_films(folder: Path) -> Iterator[tuple[str, Path]]:
    """Films that no file of the shared media stands for: every depth, and the containers that archives hold."""
    for bits in (8, 10, 12, 14, 16):
        for model, channels in (("gray", 1), ("gbrp", 3)):
            if model == "gbrp" and bits == 8:
                continue  # FFV1 knows it as bgr0
            name = model if bits == 8 else f"{model}{bits}le"
            yield (
                f"ffv1_{name}.mkv",
                film(folder / f"ffv1_{name}.mkv", moving(4, channels=channels, bits=bits), name, rate=Fraction(50, 3)),
            )
    yuv = [[plane[0], plane[0][::2, ::2], plane[0][1::2, 1::2]] for plane in moving(12, 48, 64)]
    half = [[plane[0], plane[0][:, ::2].copy(), plane[0][:, 1::2].copy()] for plane in moving(12, 48, 64, bits=10)]
    whole = [[plane[0], plane[0], plane[0]] for plane in moving(12, 48, 64, bits=10)]
    for name, frames, pixels, codec, sound in (
        ("mpeg2_aac.ts", yuv, "yuv420p", "mpeg2video", "aac"), ("mpeg4_mp3.avi", yuv, "yuv420p", "mpeg4", "libmp3lame"),
        ("h264_pcm.mkv", yuv, "yuv420p", "libx264", "pcm_s16le"), ("mpeg2_pcm.mxf", yuv, "yuv420p", "mpeg2video", ""),
        ("huffyuv.avi", yuv, "yuv420p", "ffvhuff", "pcm_s16le"),
        ("prores_422.mov", half, "yuv422p10le", "prores_ks", ""),
        ("prores_4444.mov", whole, "yuv444p10le", "prores_ks", ""),
        ("ffv1_422p10.mkv", half, "yuv422p10le", "ffv1", "flac"),
        ("plain.y4m", yuv, "yuv420p", "wrapped_avframe", ""), ("vp9.webm", yuv, "yuv420p", "libvpx-vp9", ""),
        ("ima_adpcm.mov", yuv, "yuv420p", "libx264", "adpcm_ima_qt"),
    ):  # fmt: skip
        try:
            yield name, film(folder / name, frames, pixels, codec=codec, sound=sound, rate=Fraction(25))
        except (av.error.FFmpegError, ValueError) as error:
            raise AssertionError(f"{name} cannot be made: {error}") from error


# -- stills

EXIF_SAID = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
"""Description, make, model, software, time, artist, copyright: what EXIF says of the picture, not of the file."""
EXIF_OF_THE_FILE = {0xA002, 0xA003, 0xA005}
"""Width, height, and where another directory lies."""


def _photo(path: Path) -> tuple[str, dict[str, Any], Any]:
    """Words on a photo, what it carries, and its samples as a file holds them: by Pillow, deep ones by OpenImageIO."""
    carries: dict[str, Any] = {}
    words, upright = "", None
    try:
        with Image.open(path) as image:
            exif = image.getexif()
            upright = np.asarray(ImageOps.exif_transpose(image)) if exif.get(0x0112, 1) != 1 else None
            carries["ICC profile"] = image.info.get("icc_profile") or None
            details = {key: value for key, value in exif.get_ifd(0x8769).items() if key not in EXIF_OF_THE_FILE}
            carries["EXIF"] = {key: exif[key] for key in EXIF_SAID if key in exif} | details or None
            carries["resolution"] = tuple(round(float(part)) for part in image.info.get("dpi", ())) or None
            pages = getattr(image, "n_frames", 1)
            words = f"{image.format} {image.mode}" + (f", {pages} pages" if pages > 1 else "")
    except UnidentifiedImageError:
        pass  # DPX and EXR, which it does not know
    opened = oiio.ImageInput.open(str(path))
    if opened is None:
        return words, carries, None
    spec = opened.spec()
    samples = np.asarray(opened.read_image(spec.format)).reshape(spec.height, spec.width, spec.nchannels)
    samples = samples if upright is None else np.atleast_3d(upright)
    deep = f", {spec.format}" if str(spec.format) != "uint8" else ""
    words = f"{words or opened.format_name().upper()}{deep}, {spec.width}×{spec.height}"
    opened.close()
    return words, carries, samples


def _photo_row(at: House, name: str, path: Path) -> Row:
    source, carries, samples = _photo(path)
    row = Row(name, source)
    try:
        result = restore_still(item(path, "[]", kind=ItemKind.STILL), at.bench())
    except InputError as error:
        row.result = f"refused: `{error.code}`"
        return row
    row.result, ours, made = _photo(at.path(result.outputs["still"]))
    for words, value in carries.items():
        if value is not None and ours[words] == value:
            row.kept.append(words)
        elif value is not None and not any(words.split()[0] in note for note in result.notes):
            row.told.append(f"other {words}")
    if samples is not None and made is not None and samples.shape == made.shape:
        worst = np.abs(samples.astype(float) - made.astype(float)).max()
        row.kept.append("every sample" if worst == 0 else f"samples to ±{worst:g}")
    row.told += [note.rstrip(".") for note in result.notes]
    return row


def _made_photos(folder: Path) -> Iterator[tuple[str, Path]]:
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[0:48, 0:64]
    ramp = np.stack([rows * 5, columns * 4, 255 - rows * 4], 2).astype(np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F], exif[0x8298] = "Reelwright", "public domain"
    picture = Image.fromarray(ramp)
    for name, more in (
        ("icc.jpg", {"quality": 95, "subsampling": 0}), ("icc.png", {}), ("icc.tif", {"compression": "tiff_lzw"}),
        ("icc.webp", {"lossless": True}), ("icc.jp2", {}),
    ):  # fmt: skip
        picture.save(folder / name, icc_profile=profile, exif=exif, **more)
        yield name, folder / name
    for name, channels, kind in (
        ("rgb16.png", 3, "uint16"), ("grey16.tif", 1, "uint16"), ("rgba16.png", 4, "uint16"), ("rgb8.dpx", 3, "uint8"),
        ("rgb16.jp2", 3, "uint16"), ("half.exr", 3, "half"), ("float.exr", 3, "float"),
    ):  # fmt: skip
        spec = oiio.ImageSpec(64, 48, channels, kind)
        dtype = {"half": np.float16, "float": np.float32, "uint16": np.uint16, "uint8": np.uint8}[kind]
        data = rng.random((48, 64, channels)) * (1 if "f" in np.dtype(dtype).kind else np.iinfo(dtype).max)
        out = oiio.ImageOutput.create(str(folder / name))
        if out is None or not out.open(str(folder / name), spec) or not out.write_image(data.astype(dtype)):
            raise AssertionError(f"{name} cannot be made: {oiio.geterror()}")
        out.close()
        yield name, folder / name


# -- sequences


def _open_new(target: str) -> BinaryIO:
    return Path(target).open("xb")


def _sequence_row(at: House, name: str, folder: Path, part: Sequence, **more: Any) -> Row:
    first = folder / f"{part.prefix}{part.start:0{part.padding}d}{part.suffix}"
    source = _frame(first)
    row = Row(name, source.words)
    recipe = "{recipe: [], outputs: [master, sequence]}"
    try:
        item_, result = whole_life(at, item(folder, recipe, sequence=part, **more), 8)
    except InputError as error:
        row.result = f"refused: `{error.code}`"
        return row
    assert item_.facts is not None
    out = at.folder / f"out-{name.replace(' ', '-')}"
    out.mkdir()
    for key in sorted(filter(is_part, result.outputs)):
        unpack(at.store, result.outputs[key], str(out), _open_new)
    names = {path.name for path in out.iterdir()}
    there = {path.name for path in folder.iterdir() if path.suffix == part.suffix}
    row.result = f"{_frame(out / first.name).words}, and FFV1 {look(at.path(result.outputs['master'])).pixels}"
    agreeing = {
        "numbers": names >= {f"{part.prefix}{n:0{part.padding}d}{part.suffix}" for n in range(part.start, part.end + 1)
                             if f"{part.prefix}{n:0{part.padding}d}{part.suffix}" in there},
        "every sample": all(_frame(out / each).equals(_frame(folder / each)) for each in names & there),
        "every byte": all((out / each).read_bytes() == (folder / each).read_bytes() for each in names & there),
        "rate": bool(source.rate) and _frame(out / first.name).rate == source.rate,
        "timecode": bool(source.timecode) and _frame(out / first.name).timecode == source.timecode,
    }  # fmt: skip
    row.kept = [words for words, agrees in agreeing.items() if agrees]
    row.told = [note.rstrip(".") for note in result.notes]
    return row


@dataclass(frozen=True)
class Frame:
    """What OpenImageIO says of one file of a sequence."""

    words: str
    samples: Any
    rate: float
    timecode: str

    def equals(self, other: Frame) -> bool:
        return bool(np.array_equal(self.samples, other.samples))


def _frame(path: Path) -> Frame:
    opened = oiio.ImageInput.open(str(path))
    assert opened is not None, oiio.geterror()
    spec = opened.spec()
    samples = np.asarray(opened.read_image(spec.format))
    opened.close()
    bits = spec.get_int_attribute("oiio:BitsPerSample", 0)
    kind = f"{bits} bit" if bits else str(spec.format)
    rate = spec.get_float_attribute("dpx:FrameRate", 0) or spec.get_float_attribute("dpx:TemporalFrameRate", 0)
    code = spec.getattribute("smpte:TimeCode") or spec.get_string_attribute("dpx:TimeCode")
    words = f"{opened.format_name()} {kind}, {spec.nchannels} channels, {spec.width}×{spec.height}"
    return Frame(words, samples, float(rate), str(code or ""))


def _made_sequences(folder: Path) -> Iterator[tuple[str, Path, Sequence]]:
    rng = np.random.default_rng(9)
    for suffix, kind, bits, channels in (
        (".dpx", "uint8", 8, 3), (".dpx", "uint16", 10, 3), (".dpx", "uint16", 12, 3), (".dpx", "uint16", 16, 3),
        (".dpx", "uint16", 16, 1), (".tif", "uint8", 8, 1), (".tif", "uint16", 16, 3), (".png", "uint8", 8, 3),
        (".png", "uint16", 16, 1), (".exr", "half", 0, 3), (".exr", "float", 0, 1), (".jpg", "uint8", 8, 3),
    ):  # fmt: skip
        name = f"{suffix[1:]}-{bits or kind}-{'rgb' if channels == 3 else 'grey'}"
        inside = folder / name
        inside.mkdir()
        for number in range(998, 1003):
            spec = oiio.ImageSpec(40, 30, channels, kind)
            if bits not in (0, 8, 16):
                spec.attribute("oiio:BitsPerSample", bits)
            if suffix == ".dpx":
                spec.attribute("dpx:FrameRate", 18.0)
                spec.attribute("dpx:TimeCode", f"01:00:00:{number - 998:02d}")
            dtype = {"half": np.float16, "float": np.float32, "uint16": np.uint16, "uint8": np.uint8}[kind]
            data = rng.random((30, 40, channels))
            if np.dtype(dtype).kind == "u":
                top = np.iinfo(dtype).max
                steps = top if bits in (8, 16) else 2**bits - 1
                data = np.rint(data * steps) * (top / steps)
            out = oiio.ImageOutput.create(str(inside / f"f{number:06d}{suffix}"))
            assert out is not None, oiio.geterror()
            assert out.open(str(inside / f"f{number:06d}{suffix}"), spec)
            assert out.write_image(data.astype(dtype))
            out.close()
        yield name, inside, Sequence(prefix="f", suffix=suffix, padding=6, start=998, end=1002)


# -- the page

INTERLACED = {"mpeg2_pal_interlaced_tff.mpg", "dv_ntsc_bff.avi", "telecine_32_2997i.mkv", "xdcam-hd-1080i50.mov"}


def _rows(at: House, folder: Path) -> Iterator[tuple[str, list[Row]]]:
    shown: Callable[[Path], str] = lambda path: str(path.relative_to(ODD))  # noqa: E731
    films = sorted([*(ODD / "video").iterdir(), *(ODD / "quicktime").iterdir()])
    rows = [_film_row(at, shown(path), path) for path in films]
    rows += [
        _film_row(at, f"{shown(path)} with deinterlace", path, "[deinterlace]")
        for path in films
        if path.name in INTERLACED
    ]
    yield "Films, as they came", rows
    yield "Films made for the purpose", [_film_row(at, *made) for made in _made_films(folder)]
    yield "Stills, as they came", [_photo_row(at, shown(path), path) for path in sorted((ODD / "images").iterdir())]
    yield "Stills made for the purpose", [_photo_row(at, *made) for made in _made_photos(folder)]
    dpx = Sequence(prefix="reel1_", suffix=".dpx", padding=7, start=86400, end=86405)
    gaps = Sequence(prefix="frame_", suffix=".png", padding=4, start=1, end=9)
    rows = [
        _sequence_row(at, "dpx_10bit", ODD / "dpx_10bit", dpx),
        _sequence_row(at, "seq_gaps", ODD / "seq_gaps", gaps),
    ]
    rows += [
        _sequence_row(at, f"seq_gaps, missing: {policy}", ODD / "seq_gaps", gaps, missing=policy)
        for policy in ("hold", "black")
    ]
    yield "Image sequences, as they came", rows
    yield "Image sequences made for the purpose", [_sequence_row(at, *made) for made in _made_sequences(folder)]


def test_the_table_of_formats_is_what_comes_out(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    parts = [section(title, rows) for title, rows in _rows(house(tmp_path), folder)]
    made = "".join(parts).replace(str(tmp_path), "…").replace(str(ODD), "…")
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    wanted = f"{before}{BEGIN}\n\n{made}{END}{after}"
    if os.environ.get("WRITE_FORMATS"):
        PAGE.write_text(wanted, encoding="utf-8")
    assert "**lost" not in made
    assert PAGE.read_text(encoding="utf-8") == wanted, "docs/formats.md is not what comes out"
