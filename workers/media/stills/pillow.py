"""Stills by Pillow: JPEG, WebP, BMP and GIF, and CMYK of eight bits.

It hands EXIF, XMP and ICC on as they were, writes JPEG without chroma subsampling, and converts CMYK by its profile.
"""

from __future__ import annotations

import io
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from db.errors import InputError
from workers.media.errors import error_text, reading
from workers.media.stills import jpeg_frame
from workers.media.stills.photo import (
    Photo,
    StillHeader,
    damage_note,
    decoding_fault,
    matching_profile,
    to_export_samples,
    upright,
)

# Our own limits are checked on the header; Pillow's would be a warning and another limit.
Image.MAX_IMAGE_PIXELS = None

JPEG_QUALITY = 95
_ORIENTATION_TAG = 0x0112
_NAMES = {
    "jpeg": "JPEG",
    "webp": "WEBP",
    "bmp": "BMP",
    "gif": "GIF",
    "jpeg2000": "JPEG2000",
    "tiff": "TIFF",
}


def header(path: Path, kind: str) -> StillHeader:
    """Read a header; raises ``InputError`` ``BAD_HEADER``, ``TRUNCATED`` or ``UNSUPPORTED_PIXELS``."""
    _check_frame(path, kind)
    with reading(str(path), code="BAD_HEADER"), _open(path, kind) as image:
        pages = 1 if kind == "tiff" else int(getattr(image, "n_frames", 1))
        depth = 16 if image.mode.startswith("I") else 8
        if image.mode == "F":
            raise InputError(f"{path}: floating point samples are not supported", code="UNSUPPORTED_PIXELS")
        return StillHeader(kind, *image.size, len(image.getbands()), depth, pages, image.mode == "CMYK")


def open_pages(path: Path, kind: str) -> ImageFile.ImageFile:
    """Return a file that stays open, to be closed; raises ``InputError`` ``BAD_HEADER``."""
    return _open(path, kind)


def read(
    path: Path, head: StillHeader, page: int = 0, opened: ImageFile.ImageFile | None = None, *,
    accept_damaged: bool = False,
) -> Photo:  # fmt: skip
    """Decode a page, turned upright; raises ``InputError`` ``TRUNCATED`` or ``CORRUPT``.

    ``opened`` comes from :func:`open_pages`; none opens the file.
    """
    with reading(str(path)), nullcontext(opened) if opened else _open(path, head.kind) as image:
        if page:
            image.seek(page)
        baggage, orientation, notes = _read_baggage(image)
        loaded, damage = _load(image, path, head.kind, page, accept_damaged=accept_damaged)
        plain, more = _plain(loaded, baggage)
        samples = upright(np.atleast_3d(np.asarray(plain)), orientation)
    has_alpha = plain.mode in {"LA", "RGBA"}
    alpha = np.ascontiguousarray(samples[..., -1]) if has_alpha else None
    colors = np.ascontiguousarray(samples[..., :-1] if has_alpha else samples)
    if colors.dtype not in (np.uint8, np.uint16):
        colors = colors.astype(np.uint16)
    return Photo(
        head.kind, colors, head.depth_bits, alpha, head.pages, notes + damage + more, baggage, turned=orientation != 1
    )


def write(photo: Photo, path: Path, kind: str) -> tuple[str, ...]:
    """Write a still of eight bits; returns notes on what was not kept."""
    options: dict[str, Any] = {name: value for name, value in photo.baggage.items() if name != "dpi" or kind != "webp"}
    notes: list[str] = []
    if options.get("icc_profile") and not matching_profile(photo.samples.shape[2], options["icc_profile"]):
        del options["icc_profile"]
        notes.append("The ICC profile was left out: it is for pictures with other channels.")
    if kind == "jpeg":
        options |= {"quality": JPEG_QUALITY, "subsampling": 0, "optimize": False}
    if kind == "webp":
        options |= {"lossless": True, "exact": True}
    if kind in {"bmp", "jpeg2000"}:
        missing = sorted({"icc_profile": "ICC profile", "exif": "EXIF"}[name] for name in options if name in _CARRIED)
        notes += [f"{kind.upper()} as it is written here carries no {name}." for name in missing]
        options = {}
    samples = to_export_samples(photo)
    image = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    try:
        image.save(path, format=_NAMES[kind], **options)
    except (ValueError, TypeError, OverflowError):
        # Baggage that one format carries may be too long or of a wrong type for another writer; pixels go first.
        left_out = [title for name, title in _LUGGAGE.items() if name in options]
        image.save(
            path, format=_NAMES[kind], **{name: value for name, value in options.items() if name not in _LUGGAGE}
        )
        notes.append(f"{' and '.join(left_out)} could not be written again.")
    return tuple(notes)


_CARRIED = ("icc_profile", "exif")
_LUGGAGE = {"exif": "EXIF", "xmp": "XMP", "dpi": "Resolution"}


def _open(path: Path, kind: str) -> ImageFile.ImageFile:
    try:
        with warnings.catch_warnings():
            # What is wrong with EXIF is found and noted when it is carried over.
            warnings.simplefilter("ignore")
            return Image.open(path, formats=[_NAMES[kind]])
    except UnidentifiedImageError as error:
        # Its first bytes are the format's own, so it is not unknown but broken.
        raise InputError(f"{path}: its {kind} header is damaged", code="BAD_HEADER") from error
    except OSError as error:
        if error.errno is not None:
            raise
        otherwise = "TRUNCATED" if _cut_riff(path) else "BAD_HEADER"
        raise decoding_fault(path, error_text(error), otherwise) from error


def _cut_riff(path: Path) -> bool:
    """Whether a WebP file ends before the size that it begins with."""
    with path.open("rb") as file:
        head = file.read(8)
    return head[:4] == b"RIFF" and path.stat().st_size < int.from_bytes(head[4:8], "little") + 8


def _check_frame(path: Path, kind: str) -> None:
    """Refuse a JPEG that is coded as Pillow does not decode it."""
    if kind == "jpeg":
        with path.open("rb") as file:
            wrong = jpeg_frame.fault(file.read(jpeg_frame.MOST_HEADER_BYTES))
        if wrong:
            raise InputError(f"{path}: {wrong} is not supported", code="UNSUPPORTED_PIXELS")


def _load(
    image: ImageFile.ImageFile, path: Path, kind: str, page: int, *, accept_damaged: bool
) -> tuple[Image.Image, tuple[str, ...]]:
    """Decode; returns the picture, and a note where damage was accepted."""
    try:
        image.load()
        return image, ()
    except OSError as error:
        fault = decoding_fault(path, error_text(error))
        if not accept_damaged:
            raise fault from error
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            with _open(path, kind) as again:  # what failed once has lost its palette
                again.seek(page)
                return again.copy(), (damage_note(error_text(error), fault.code),)
        except (OSError, EOFError):
            raise fault from error
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = False


def _plain(image: Image.Image, baggage: dict[str, Any]) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the picture as L, LA, I;16, RGB or RGBA."""
    if image.mode in {"L", "LA", "I;16", "RGB", "RGBA"}:
        return image, ()
    if image.mode == "CMYK":
        return from_cmyk(image, baggage.pop("icc_profile", None))
    if image.mode == "1":
        return image.convert("L"), ()
    if image.mode in {"I", "I;16B", "I;16L"}:  # Pillow's own conversion cuts off at 255
        return Image.fromarray(np.clip(np.asarray(image), 0, 65535).astype(np.uint16)), ()
    with_alpha = "transparency" in image.info or image.mode in {"PA", "RGBa", "La"}
    return image.convert("RGBA" if with_alpha else "RGB"), ()


def from_cmyk(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """Return a CMYK picture as RGB, by its profile where that can be followed, and a note that says how."""
    if profile:
        try:
            screen = ImageCms.createProfile("sRGB")
            press = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            output = ImageCms.profileToProfile(image, press, screen, outputMode="RGB")
            if output is not None:
                return output, ("CMYK was converted to sRGB by its own profile.",)
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return image.convert("RGB"), ("CMYK without a usable profile was converted to RGB by plain inversion.",)


def _read_baggage(image: Image.Image) -> tuple[dict[str, Any], int, tuple[str, ...]]:
    """Return what Pillow should save again, the orientation, and notes; hostile EXIF costs a note and no more."""
    baggage = {name: image.info[name] for name in ("icc_profile", "xmp", "dpi") if image.info.get(name)}
    try:
        with warnings.catch_warnings():
            # Pillow only warns of EXIF that it cannot follow to its end; half of it is no good to anybody.
            warnings.simplefilter("error")
            exif = image.getexif()
        orientation = exif.get(_ORIENTATION_TAG, 1)
        if exif:
            exif.pop(_ORIENTATION_TAG, None)
            exif.get_ifd(0x8769)
            baggage["exif"] = exif.tobytes()
    except Exception:  # Pillow's EXIF reader raises whatever its parts raise
        return baggage, 1, ("EXIF could not be read and was not carried over.",)
    return baggage, orientation if orientation in range(1, 9) else 1, ()
