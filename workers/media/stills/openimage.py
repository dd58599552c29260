"""Stills by OpenImageIO: PNG, TIFF, PNM, EXR and JPEG 2000, with every attribute.

It alone holds 16 bits of colour, floating point, every TIFF compression and several pages.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray
from PIL import Image

from db.errors import InputError, TransientError
from workers.media import timecode
from workers.media.errors import error_text, reading
from workers.media.stills import metadata, pillow, tiff_tags
from workers.media.stills.photo import (
    Photo,
    StillHeader,
    damage_note,
    decoding_fault,
    is_truncation,
    matching_profile,
    scale_codes,
    to_export_samples,
    upright,
)

oiio.attribute("threads", 1)

MAX_PROFILE_BYTES = 64 << 20
"""Of the ICC profiles of a file that is written, all pages together."""
EXACT_EXR = "zip"
_JPEG2000_SUFFIXES = {".jp2", ".j2k"}
_LOSSY_EXR = ("b44", "dwa", "pxr24")
_NAMES = {"exr": "openexr"}
"""What OpenImageIO calls a format where that differs."""
_TYPES = {"uint8": 8, "uint16": 16, "half": 16, "float": 32}
_DTYPES = {"uint8": np.uint8, "uint16": np.uint16, "half": np.float16, "float": np.float32}
_PARTS, _FEWEST_ROWS = 16, 256
"""How many times rows of a large picture are asked for, and how many of a small one at once."""
_PHOTOMETRICS, _INKS = range(7), 5
"""Grey, RGB, palette, mask, CMYK and YCbCr; the others (Lab, raw of cameras) are no pictures yet."""
# Set anew by the writer for the picture that it writes, or true of the old pixels only.
_STALE = (
    "Orientation", "oiio:BitsPerSample", "oiio:subimages", "tiff:PhotometricInterpretation", "tiff:ColorSpace",
    "tiff:PageNumber", "tiff:subfiletype", "tiff:Compression", "tiff:PlanarConfiguration", "planarconfig",
    "Exif:PixelXDimension", "Exif:PixelYDimension", "oiio:RowsPerChunk", "tiff:RowsPerStrip", "ICCProfile",
    "oiio:subimagename", "openexr:chunkCount",
)  # fmt: skip
_DERIVED = ("oiio:Gamma", "ICCProfile:")


@contextmanager
def open_pages(path: Path, kind: str) -> Iterator[Any]:
    """Give a reader that stays open; raises ``InputError`` ``BAD_HEADER`` or ``TRUNCATED``."""
    reader = _open(path, kind)
    try:
        yield reader
    finally:
        reader.close()


def header(path: Path, kind: str, page: int = 0, opened: Any = None) -> StillHeader:
    """Read the header of a page; the first one's says how many pages there are.

    Args:
        path: The file.
        kind: Its format.
        page: Counts from 0.
        opened: From :func:`open_pages`; none opens the file.

    Raises:
        InputError: ``BAD_HEADER`` or ``UNSUPPORTED_PIXELS``.
    """
    with reading(str(path), code="BAD_HEADER"), nullcontext(opened) if opened else open_pages(path, kind) as reader:
        # Counted once a file: counting reads every directory, and a microfilm has hundreds.
        pages = _page_count(reader, path, kind) if page == 0 else 1
        _seek_page(reader, page, path)
        spec = reader.spec()
        depth, floating = _TYPES.get(str(spec.format), 0), str(spec.format) in {"half", "float"}
        cmyk = kind == "tiff" and spec.get_int_attribute("tiff:PhotometricInterpretation", 1) == _INKS
        most = 16 if cmyk else 5
        if not depth or floating != (kind == "exr") or spec.nchannels > most or spec.deep or spec.depth > 1:
            raise InputError(
                f"{path}: {spec.nchannels} channels of {spec.format} are not supported", code="UNSUPPORTED_PIXELS"
            )
        photometric = spec.get_int_attribute("tiff:PhotometricInterpretation", 2)
        if kind == "tiff" and photometric not in _PHOTOMETRICS:
            raise InputError(
                f"{path}: photometric interpretation {photometric} is not supported", code="UNSUPPORTED_PIXELS"
            )
        if kind == "exr" and any(name in {"RY", "BY"} for name in spec.channelnames):
            raise InputError(f"{path}: EXR with thinned out chroma is not supported", code="UNSUPPORTED_PIXELS")
        bits = spec.get_int_attribute("oiio:BitsPerSample", depth)
        channels = _ink_count(path, page) if cmyk else spec.nchannels
        still_header = StillHeader(
            kind, spec.width, spec.height, channels, bits if 8 < bits < depth and not floating else depth,
            pages if kind in {"tiff", "exr", "png", "pnm"} else 1, cmyk, floating, "linear" if floating else "gamma",
            rates=rates_of(spec), odd_rates=_odd_rates(spec), timecode=timecode.unpack(_timecode_bits(spec)),
        )  # fmt: skip
    return still_header


def read(path: Path, head: StillHeader, page: int = 0, opened: Any = None, *, accept_damaged: bool = False) -> Photo:
    """Decode a page, turned upright; raises ``InputError`` ``TRUNCATED`` or ``CORRUPT``; ``opened`` as for headers."""
    if head.cmyk:
        return _read_inks(path, head, page, accept_damaged=accept_damaged)
    with reading(str(path)), nullcontext(opened) if opened else open_pages(path, head.kind) as reader:
        _seek_page(reader, page, path)
        spec = oiio.ImageSpec(reader.spec())
        samples, notes = _decode(reader, spec, page, path, accept_damaged=accept_damaged)
    if head.floating and not np.isfinite(samples).all():
        raise InputError(f"{path}: holds samples that are no numbers, or endless ones", code="CORRUPT")
    if 8 < head.depth_bits < 16:
        # The reader stretches 10 and 12 bits to 16; this gives back the samples that are in the file.
        samples = scale_codes(samples, np.float64(2**head.depth_bits - 1) / 65535)
    _count_from_black(samples, spec, head.depth_bits)
    upright_samples = upright(samples, spec.get_int_attribute("Orientation", 1))
    alpha = np.ascontiguousarray(upright_samples[..., spec.alpha_channel]) if spec.alpha_channel >= 0 else None
    colors = np.ascontiguousarray(upright_samples[..., : 3 if spec.nchannels >= 3 else 1])
    others = spec.nchannels - colors.shape[2] - (alpha is not None)
    notes += _others_note(others)
    return Photo(head.kind, colors, head.depth_bits, alpha, head.pages, notes, spec=spec, transfer=head.transfer)


def write(photos: Iterable[Photo], path: Path, kind: str) -> tuple[str, ...]:
    """Write one still, or a TIFF of several pages; each page is taken only when the one before is written.

    Returns:
        Notes on what was not kept.

    Raises:
        TransientError: The file cannot be written.
    """
    out = oiio.ImageOutput.create(_NAMES.get(kind, kind))
    if out is None:
        raise TransientError(f"Writing {path}: {error_text(ValueError(oiio.geterror()))}")
    notes: list[str] = []
    room = MAX_PROFILE_BYTES
    # The writer of JPEG 2000 knows its two sub-formats by the suffix alone, and writes nothing under any other.
    target = path.with_name("frame.jp2") if kind == "jpeg2000" and path.suffix not in _JPEG2000_SUFFIXES else path
    for number, photo in enumerate(photos):
        samples = to_export_samples(photo)
        spec, room = _spec(photo, samples, kind, notes, room), room - len(icc_profile(photo))
        if not out.open(str(target), spec, "AppendSubimage" if number else "Create") or not out.write_image(samples):
            raise TransientError(f"Writing {path}: {error_text(ValueError(out.geterror()))}")
    if not out.close() or not target.stat().st_size:
        raise TransientError(f"Writing {path}: {error_text(ValueError(out.geterror()))}")
    target.replace(path)
    return tuple(dict.fromkeys(notes))


def read_timecode(photo: Photo) -> str:
    """Return the timecode in an EXR still's header; empty when there is none."""
    return timecode.unpack(_timecode_bits(photo.spec))


def _count_from_black(samples: NDArray[Any], spec: Any, bits: int) -> None:
    """Turn grey round, in place, that is 0 for white: of 8 bits the reader has done so, and alpha with it."""
    if spec.get_int_attribute("tiff:PhotometricInterpretation", 1) == 0:
        turned = samples[..., :1] if samples.dtype == np.uint16 else samples[..., 1:]
        np.subtract(samples.dtype.type(2**bits - 1), turned, out=turned)


def _others_note(count: int) -> tuple[str, ...]:
    return (f"Channels beside colour and alpha were left out ({count}).",) if count else ()


def _decode(
    reader: Any, spec: Any, page: int, path: Path, *, accept_damaged: bool
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return samples ``(H, W, C)``, and a note where damage was accepted: what cannot be decoded is black then."""
    samples, error = _read_rows(reader, spec, page)
    if samples is not None and not error:
        return samples, ()
    fault = decoding_fault(path, error_text(ValueError(error or "cannot be decoded")))
    if accept_damaged and fault.code in {"TRUNCATED", "CORRUPT"}:
        parts, lost = _parts(reader, spec, page)
        if lost < spec.height * spec.width:
            share = 100 * lost / (spec.height * spec.width)
            return parts, (
                damage_note(f"{fault.message.removeprefix(f'{path}: ')}; {share:.0f} % is black", fault.code),
            )
    raise fault


def _read_rows(reader: Any, spec: Any, page: int) -> tuple[NDArray[Any] | None, str]:
    """Return samples ``(H, W, C)``, or none and what the reader says of it.

    Read at once, a picture lies in memory twice for a moment, which is the most that a large scan takes at any time. In
    tiles, or plane by plane, it would be decoded again and again for its parts.
    """
    if spec.tile_width or spec.get_string_attribute("planarconfig") == "separate":
        samples = reader.read_image(page, 0, 0, spec.nchannels, spec.format)
        whole = None if samples is None else np.require(samples, requirements="W")
        return None if whole is None else whole.reshape(spec.height, spec.width, spec.nchannels), reader.geterror()
    out = np.empty((spec.height, spec.width, spec.nchannels), _DTYPES[str(spec.format)])
    step = max(_FEWEST_ROWS, spec.height // _PARTS)
    for top in range(0, spec.height, step):
        bottom = min(top + step, spec.height)
        rows = reader.read_scanlines(page, 0, spec.y + top, spec.y + bottom, 0, 0, spec.nchannels, spec.format)
        error: str = reader.geterror()
        if rows is None or error:
            return None, error
        out[top:bottom] = np.asarray(rows).reshape(bottom - top, spec.width, spec.nchannels)
    return out, ""


def _parts(reader: Any, spec: Any, page: int) -> tuple[NDArray[Any], int]:
    """Return what can be decoded piece by piece, black elsewhere, and how many pixels cannot."""
    samples, lost = np.zeros((spec.height, spec.width, spec.nchannels), _DTYPES[str(spec.format)]), 0
    across, down = spec.tile_width or spec.width, spec.tile_height or 1
    for top in range(0, spec.height, down):
        for left in range(0, spec.width, across):
            bottom, right = min(top + down, spec.height), min(left + across, spec.width)
            box = (spec.x + left, spec.x + right, spec.y + top, spec.y + bottom)
            found = _read_box(reader, spec, page, box)
            if found is None:
                lost += (bottom - top) * (right - left)
            else:
                samples[top:bottom, left:right] = np.asarray(found).reshape(bottom - top, right - left, spec.nchannels)
    return samples, lost


def _read_box(reader: Any, spec: Any, page: int, box: tuple[int, int, int, int]) -> Any:
    left, right, top, bottom = box
    if spec.tile_width:
        found = reader.read_tiles(page, 0, left, right, top, bottom, 0, 1, 0, spec.nchannels, spec.format)
    else:
        found = reader.read_scanlines(page, 0, top, bottom, 0, 0, spec.nchannels, spec.format)
    return None if reader.geterror() else found


def _ink_count(path: Path, page: int) -> int:
    """Return the channels of a page of CMYK, which the reader turns into RGB unless it is told not to."""
    reader = _open(path, "tiff", raw=True)
    try:
        _seek_page(reader, page, path)
        count: int = reader.spec().nchannels
        return count
    finally:
        reader.close()


def _read_inks(path: Path, head: StillHeader, page: int, *, accept_damaged: bool) -> Photo:
    """Decode a page of CMYK of any depth, with whatever channels lie beside it, into RGB."""
    reader = _open(path, head.kind, raw=True)
    try:
        _seek_page(reader, page, path)
        spec = oiio.ImageSpec(reader.spec())
        samples, notes = _decode(reader, spec, page, path, accept_damaged=accept_damaged)
    finally:
        reader.close()
    profile = spec.getattribute("ICCProfile")
    eight = samples[..., :4] if head.depth_bits == 8 else np.rint(samples[..., :4] / 257).astype(np.uint8)
    image, how = pillow.from_cmyk(
        Image.fromarray(np.ascontiguousarray(eight), "CMYK"),
        bytes(np.asarray(profile, np.uint8)) if profile is not None else None,
    )
    depth, colors = 8, np.asarray(image)
    if head.depth_bits == 16 and "plain" in how[0]:
        top = np.float64(65535)
        depth, colors = 16, np.rint((top - samples[..., :3]) * (top - samples[..., 3:4]) / top).astype(np.uint16)
    elif head.depth_bits == 16:
        how += ("Of 16 bits 8 are left: that is what CMYK is converted in by its profile.",)
    for name in ("ICCProfile", "oiio:ColorSpace", "tiff:ColorSpace"):
        spec.erase_attribute(name)
    turned = upright(colors, spec.get_int_attribute("Orientation", 1))
    notes += how + _others_note(samples.shape[2] - 4)
    return Photo(head.kind, turned, depth, None, head.pages, notes, spec=spec)


def with_timecode(photo: Photo, code: str, rate: Fraction | None) -> Photo:
    """Return an EXR still whose header has another timecode (none when empty) and rate (none keeps the header's)."""
    spec = oiio.ImageSpec(photo.spec)
    if code:
        spec.attribute("smpte:TimeCode", oiio.TypeDesc("timecode"), [timecode.pack(code), _user_bits(photo.spec)])
    else:
        spec.erase_attribute("smpte:TimeCode")
    if rate is not None:
        spec.attribute("FramesPerSecond", oiio.TypeRational, [rate.numerator, rate.denominator])
    return replace(photo, spec=spec)


def _open(path: Path, kind: str, *, raw: bool = False) -> Any:
    """Open a file; ``raw`` leaves CMYK as it is."""
    config = oiio.ImageSpec()
    config.attribute("oiio:RawColor", int(raw))
    # Otherwise colour would come multiplied by alpha, which cannot be undone where alpha is 0.
    config.attribute("oiio:UnassociatedAlpha", 1)
    reader = oiio.ImageInput.open(os.fspath(path), config)
    if reader is None:
        raise decoding_fault(
            path, error_text(ValueError(oiio.geterror() or "the header cannot be read")), otherwise="BAD_HEADER"
        )
    if reader.format_name() != _NAMES.get(kind, kind):
        raise InputError(f"{path}: named as another format than the {kind} that it is", code="BAD_HEADER")
    return reader


def _seek_page(reader: Any, page: int, path: Path) -> None:
    if page and not reader.seek_subimage(page, 0):
        message = error_text(ValueError(reader.geterror() or "cannot be found"))
        raise InputError(
            f"{path}, page {page + 1}: {message}", code="TRUNCATED" if is_truncation(message) else "BAD_HEADER"
        )


def _page_count(reader: Any, path: Path, kind: str) -> int:
    if kind == "png":
        return metadata.png_pictures(path)
    if kind == "pnm":
        return metadata.pnm_pictures(path)
    count: int = reader.spec().get_int_attribute("oiio:subimages", 0)
    if count > 0:
        return count
    count = 1
    while count < tiff_tags.MAX_PAGES and reader.seek_subimage(count, 0):
        count += 1
    reader.seek_subimage(0, 0)
    return tiff_tags.page_count(path) if kind == "tiff" and count == tiff_tags.MAX_PAGES else count


def rates_of(spec: Any) -> tuple[Fraction, ...]:
    """Return the frames per second that a file's header gives; nothing where it gives none that can be."""
    value = spec.getattribute("FramesPerSecond")
    if not isinstance(value, tuple) or len(value) != 2 or value[1] <= 0:
        return ()
    rate = Fraction(int(value[0]), int(value[1]))
    return (rate,) if 1 <= rate <= 240 else ()


def _odd_rates(spec: Any) -> tuple[str, ...]:
    value = spec.getattribute("FramesPerSecond")
    if value is None or rates_of(spec):
        return ()
    return ("/".join(map(str, value)) if isinstance(value, tuple) else str(value),)


def _timecode_bits(spec: Any) -> int:
    value = spec.getattribute("smpte:TimeCode")
    return int(value[0]) & 0xFFFFFFFF if isinstance(value, tuple) and len(value) == 2 else 0


def _user_bits(spec: Any) -> int:
    value = spec.getattribute("smpte:TimeCode")
    return int(value[1]) & 0xFFFFFFFF if isinstance(value, tuple) and len(value) == 2 else 0


def _spec(photo: Photo, samples: Any, kind: str, notes: list[str], room: int) -> Any:
    height, width, channels = samples.shape
    type_ = {"uint8": "uint8", "uint16": "uint16", "float16": "half", "float32": "float"}[str(samples.dtype)]
    spec = oiio.ImageSpec(width, height, channels, type_)
    for attribute in _portable_attributes(photo):
        try:
            spec.attribute(attribute.name, attribute.type, attribute.value)
        except (RuntimeError, TypeError, UnicodeError):  # text in another code than UTF-8, for one
            notes.extend([f"The attribute {attribute.name} could not be written again."] if kind == "exr" else [])
    if kind in {"tiff", "exr"} and not spec.get_string_attribute("DateTime"):
        # Left to itself the writer puts the clock here, and equal work would not give equal bytes.
        spec.attribute("DateTime", "")
    if kind in {"tiff", "jpeg2000"} and 8 < photo.depth_bits < 16:
        spec.attribute("oiio:BitsPerSample", photo.depth_bits)
    compression = spec.get_string_attribute("compression")
    if kind == "tiff" and compression.startswith(("ccitt", "jpeg")):
        spec.attribute("compression", "zip")
    if kind == "exr":
        _keep_display_window(spec, photo)
        if compression.startswith(_LOSSY_EXR):
            spec.attribute("compression", EXACT_EXR)
            notes.append(f"Written with {EXACT_EXR} compression: {compression}, the source's, loses precision.")
    if photo.alpha is not None:
        spec.alpha_channel = channels - 1
        spec.channelnames = ("R", "G", "B", "A") if channels == 4 else ("Y", "A")
        # Colour multiplied by alpha stays so, and is called so; other readers' never is, nor is JPEG 2000's.
        apart = photo.spec is None or kind == "jpeg2000" or photo.spec.get_int_attribute("oiio:UnassociatedAlpha", 0)
        spec.attribute("oiio:UnassociatedAlpha", 1 if apart else 0)
    elif kind == "exr" and channels == 1:
        spec.channelnames = (photo.spec.channelnames[0] if photo.spec is not None and photo.mono else "Y",)
    _with_profile(spec, photo, notes, room)
    return spec


def _portable_attributes(photo: Photo) -> Iterator[Any]:
    for attribute in photo.spec.extra_attribs if photo.spec is not None else ():
        if attribute.name not in _STALE and not attribute.name.startswith(_DERIVED):
            yield attribute


def _keep_display_window(spec: Any, photo: Photo) -> None:
    """Keep where an EXR picture lies in its display window, as long as it has the source's size."""
    source = photo.spec
    if source is not None and (source.width, source.height) == (spec.width, spec.height):
        for name in ("x", "y", "full_x", "full_y", "full_width", "full_height"):
            setattr(spec, name, getattr(source, name))


def icc_profile(photo: Photo) -> bytes:
    """Return a still's ICC profile, whichever reader found it; empty when it has none."""
    data = photo.spec.getattribute("ICCProfile") if photo.spec is not None else None
    return bytes(np.asarray(data, np.uint8)) if data is not None else photo.baggage.get("icc_profile") or b""


def _with_profile(spec: Any, photo: Photo, notes: list[str], room: int) -> None:
    profile = icc_profile(photo)
    if not profile:
        return
    if len(profile) > room:
        notes.append(f"ICC profiles of more than {MAX_PROFILE_BYTES:,} bytes in one file were left out.")
    elif usable := matching_profile(photo.samples.shape[2], profile):
        spec.attribute("ICCProfile", oiio.TypeDesc(f"uint8[{len(usable)}]"), np.frombuffer(usable, np.uint8))
    else:
        notes.append("The ICC profile was left out: it is for pictures with other channels.")
