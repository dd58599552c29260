"""Stills by OpenImageIO: PNG, TIFF, PNM, EXR and JPEG 2000, with every attribute.

It alone holds 16 bits of colour, floating point, every TIFF compression and several pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio

from db.errors import InputError, TransientError
from workers.media import timecode
from workers.media.errors import reading, says
from workers.media.stills.photo import Header, Photo, profile_of, stacked, truncated, upright

oiio.attribute("threads", 1)

MAX_PAGES = 10_000
EXACT_EXR = "zip"
_JPEG2000_SUFFIXES = {".jp2", ".j2k"}
_LOSSY_EXR = ("b44", "dwa", "pxr24")
_NAMES = {"exr": "openexr"}
"""What OpenImageIO calls a format where that differs."""
_TYPES = {"uint8": 8, "uint16": 16, "half": 16, "float": 32}
_PHOTOMETRICS = range(7)
"""Grey, RGB, palette, mask, CMYK and YCbCr; the others (Lab, raw of cameras) are no pictures yet."""
# Set anew by the writer for the picture that it writes, or true of the old pixels only.
_STALE = (
    "Orientation", "oiio:BitsPerSample", "oiio:subimages", "tiff:PhotometricInterpretation", "tiff:ColorSpace",
    "tiff:PageNumber", "tiff:subfiletype", "tiff:Compression", "tiff:PlanarConfiguration", "planarconfig",
    "Exif:PixelXDimension", "Exif:PixelYDimension", "oiio:RowsPerChunk", "tiff:RowsPerStrip", "ICCProfile",
    "oiio:subimagename", "openexr:chunkCount",
)  # fmt: skip
_DERIVED = ("oiio:Gamma", "ICCProfile:")


def header(path: Path, kind: str, page: int = 0) -> Header:
    """Read the header of a page; the first one's says how many pages there are.

    Raises:
        InputError: ``BAD_HEADER`` or ``UNSUPPORTED_PIXELS``.
    """
    with reading(str(path), code="BAD_HEADER"):
        opened = _open(path, kind)
        # Counted once a file: counting reads every directory, and a microfilm has hundreds.
        pages = max(1, opened.spec().get_int_attribute("oiio:subimages", 0) or _pages(opened)) if page == 0 else 1
        _turn_to(opened, page, path)
        spec = opened.spec()
        depth, floating = _TYPES.get(str(spec.format), 0), str(spec.format) in {"half", "float"}
        if not depth or floating != (kind == "exr") or spec.nchannels > 5 or spec.deep or spec.depth > 1:
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
        cmyk = kind == "tiff" and spec.get_string_attribute("tiff:ColorSpace") == "CMYK"
        found = Header(
            kind, spec.width, spec.height, spec.nchannels, bits if 8 < bits < depth and not floating else depth,
            pages if kind in {"tiff", "exr"} else 1, cmyk, floating, "linear" if floating else "gamma",
            rates=_rates(spec), timecode=timecode.unpacked(_packed(spec)),
        )  # fmt: skip
        opened.close()
    return found


def read(path: Path, found: Header, page: int = 0) -> Photo:
    """Decode a page, turned upright; raises ``InputError`` ``TRUNCATED`` or ``CORRUPT``."""
    with reading(str(path)):
        opened = _open(path, found.kind)
        _turn_to(opened, page, path)
        spec = oiio.ImageSpec(opened.spec())
        samples = opened.read_image(page, 0, 0, spec.nchannels, spec.format)
        error = opened.geterror()
        opened.close()
    if samples is None or error:
        code = "TRUNCATED" if truncated(error) else "CORRUPT"
        raise InputError(f"{path}: {says(ValueError(error or 'cannot be decoded'))}", code=code)
    samples = np.asarray(samples).reshape(spec.height, spec.width, spec.nchannels)
    if found.floating and not np.isfinite(samples).all():
        raise InputError(f"{path}: holds samples that are no numbers, or endless ones", code="CORRUPT")
    if 8 < found.depth_bits < 16:
        # The reader stretches 10 and 12 bits to 16; this gives back the samples that are in the file.
        samples = np.rint(samples * (np.float64(2**found.depth_bits - 1) / 65535)).astype(np.uint16)
    if _counts_from_white(spec):
        samples = np.uint16(2**found.depth_bits - 1) - samples
    turned = upright(samples, spec.get_int_attribute("Orientation", 1))
    alpha = np.ascontiguousarray(turned[..., spec.alpha_channel]) if spec.alpha_channel >= 0 else None
    colours = np.ascontiguousarray(turned[..., : 3 if spec.nchannels >= 3 else 1])
    others = spec.nchannels - colours.shape[2] - (alpha is not None)
    notes = (f"Channels beside colour and alpha were left out ({others}).",) if others else ()
    return Photo(found.kind, colours, found.depth_bits, alpha, found.pages, notes, spec=spec, transfer=found.transfer)


def write(photos: Iterable[Photo], path: Path, kind: str) -> tuple[str, ...]:
    """Write one still, or a TIFF of several pages; each page is taken only when the one before is written.

    Returns:
        Notes on what was not kept.

    Raises:
        TransientError: The file cannot be written.
    """
    out = oiio.ImageOutput.create(_NAMES.get(kind, kind))
    if out is None:
        raise TransientError(f"Writing {path}: {says(ValueError(oiio.geterror()))}")
    notes: list[str] = []
    # The writer of JPEG 2000 knows its two sub-formats by the suffix alone, and writes nothing under any other.
    made = path.with_name("frame.jp2") if kind == "jpeg2000" and path.suffix not in _JPEG2000_SUFFIXES else path
    for number, photo in enumerate(photos):
        samples = stacked(photo)
        spec = _spec(photo, samples, kind, notes)
        if not out.open(str(made), spec, "AppendSubimage" if number else "Create") or not out.write_image(samples):
            raise TransientError(f"Writing {path}: {says(ValueError(out.geterror()))}")
    if not out.close() or not made.stat().st_size:
        raise TransientError(f"Writing {path}: {says(ValueError(out.geterror()))}")
    made.replace(path)
    return tuple(dict.fromkeys(notes))


def clock(photo: Photo) -> str:
    """Return the timecode in an EXR still's header; empty when there is none."""
    return timecode.unpacked(_packed(photo.spec))


def _counts_from_white(spec: Any) -> bool:
    """Whether TIFF samples are 0 for white and the reader left them so, as it does but for those of 8 bits."""
    found: int = spec.get_int_attribute("tiff:PhotometricInterpretation", 1)
    return found == 0 and str(spec.format) == "uint16" and spec.nchannels == 1


def with_clock(photo: Photo, code: str, rate: Fraction | None) -> Photo:
    """Return an EXR still whose header has another timecode (none when empty) and rate (none keeps the header's)."""
    spec = oiio.ImageSpec(photo.spec)
    if code:
        spec.attribute("smpte:TimeCode", oiio.TypeDesc("timecode"), [timecode.packed(code), _user_bits(photo.spec)])
    else:
        spec.erase_attribute("smpte:TimeCode")
    if rate is not None:
        spec.attribute("FramesPerSecond", oiio.TypeRational, [rate.numerator, rate.denominator])
    return replace(photo, spec=spec)


def _open(path: Path, kind: str) -> Any:
    wish = oiio.ImageSpec()
    # Otherwise colour would come multiplied by alpha, which cannot be undone where alpha is 0.
    wish.attribute("oiio:UnassociatedAlpha", 1)
    opened = oiio.ImageInput.open(str(path), wish)
    if opened is None:
        message = says(ValueError(oiio.geterror() or "the header cannot be read"))
        raise InputError(f"{path}: {message}", code="TRUNCATED" if truncated(message) else "BAD_HEADER")
    if opened.format_name() != _NAMES.get(kind, kind):
        raise InputError(f"{path}: named as another format than the {kind} that it is", code="BAD_HEADER")
    return opened


def _turn_to(opened: Any, page: int, path: Path) -> None:
    if page and not opened.seek_subimage(page, 0):
        message = says(ValueError(opened.geterror() or "cannot be found"))
        raise InputError(
            f"{path}, page {page + 1}: {message}", code="TRUNCATED" if truncated(message) else "BAD_HEADER"
        )


def _pages(opened: Any) -> int:
    count = 1
    while count < MAX_PAGES and opened.seek_subimage(count, 0):
        count += 1
    opened.seek_subimage(0, 0)
    return count


def _rates(spec: Any) -> tuple[Fraction, ...]:
    found = spec.getattribute("FramesPerSecond")
    if not isinstance(found, tuple) or len(found) != 2 or found[1] <= 0:
        return ()
    rate = Fraction(int(found[0]), int(found[1]))
    return (rate,) if 1 <= rate <= 240 else ()


def _packed(spec: Any) -> int:
    found = spec.getattribute("smpte:TimeCode")
    return int(found[0]) & 0xFFFFFFFF if isinstance(found, tuple) and len(found) == 2 else 0


def _user_bits(spec: Any) -> int:
    found = spec.getattribute("smpte:TimeCode")
    return int(found[1]) & 0xFFFFFFFF if isinstance(found, tuple) and len(found) == 2 else 0


def _spec(photo: Photo, samples: Any, kind: str, notes: list[str]) -> Any:
    height, width, channels = samples.shape
    type_ = {"uint8": "uint8", "uint16": "uint16", "float16": "half", "float32": "float"}[str(samples.dtype)]
    spec = oiio.ImageSpec(width, height, channels, type_)
    for attribute in _kept(photo):
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
        _as_in_source(spec, photo)
        if compression.startswith(_LOSSY_EXR):
            spec.attribute("compression", EXACT_EXR)
            notes.append(f"Written with {EXACT_EXR} compression: {compression}, the source's, loses precision.")
    if photo.alpha is not None:
        spec.alpha_channel = channels - 1
        spec.channelnames = ("R", "G", "B", "A") if channels == 4 else ("Y", "A")
        # Colour multiplied by alpha stays so, and is called so; other readers' never is.
        apart = photo.spec is None or photo.spec.get_int_attribute("oiio:UnassociatedAlpha", 0)
        spec.attribute("oiio:UnassociatedAlpha", 1 if apart else 0)
    elif kind == "exr" and channels == 1:
        spec.channelnames = (photo.spec.channelnames[0] if photo.spec is not None and photo.mono else "Y",)
    _with_profile(spec, photo, notes)
    return spec


def _kept(photo: Photo) -> Iterator[Any]:
    for attribute in photo.spec.extra_attribs if photo.spec is not None else ():
        if attribute.name not in _STALE and not attribute.name.startswith(_DERIVED):
            yield attribute


def _as_in_source(spec: Any, photo: Photo) -> None:
    """Keep where an EXR picture lies in its display window, as long as it has the source's size."""
    source = photo.spec
    if source is not None and (source.width, source.height) == (spec.width, spec.height):
        for name in ("x", "y", "full_x", "full_y", "full_width", "full_height"):
            setattr(spec, name, getattr(source, name))


def profile_in(photo: Photo) -> bytes:
    """Return a still's ICC profile, whichever reader found it; empty when it has none."""
    found = photo.spec.getattribute("ICCProfile") if photo.spec is not None else None
    return bytes(np.asarray(found, np.uint8)) if found is not None else photo.baggage.get("icc_profile") or b""


def _with_profile(spec: Any, photo: Photo, notes: list[str]) -> None:
    profile = profile_in(photo)
    if not profile:
        return
    if kept := profile_of(photo.samples.shape[2], profile):
        spec.attribute("ICCProfile", oiio.TypeDesc(f"uint8[{len(kept)}]"), np.frombuffer(kept, np.uint8))
    else:
        notes.append("The ICC profile was left out: it is for pictures with other channels.")
