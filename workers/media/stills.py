"""Stills: photos of many formats in and out, with their profile, EXIF and depth. The workers' rooms may import it.

Two libraries, by what each keeps. OpenImageIO reads and writes PNG, TIFF, PNM and DPX, since it alone holds 16 bits of
colour, every TIFF compression and fax pages. Pillow reads and writes JPEG, WebP, BMP, GIF and JPEG 2000, since it hands
EXIF, XMP and ICC on as they were and writes JPEG without chroma subsampling and JPEG 2000 without loss; it also reads
CMYK, which it can convert by its own profile. The header is read first, and limits are checked before any decoding.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from db.errors import InputError, TransientError
from db.settings import Settings
from workers.media import pixels
from workers.media.edge import reading, says, writing
from workers.media.pixels import Picture
from workers.media.source import check_file

# Our own limits are checked on the header; Pillow's would be a warning and another limit.
Image.MAX_IMAGE_PIXELS = None
oiio.attribute("threads", 1)

JPEG_QUALITY = 95
_ORIENTATION_TAG = 0x0112
_PILLOW = {"jpeg": "JPEG", "webp": "WEBP", "bmp": "BMP", "gif": "GIF", "jpeg2000": "JPEG2000", "tiff": "TIFF"}
_OIIO_KINDS = {"png", "tiff", "pnm", "dpx"}
_SUFFIXES = {
    "jpeg": {".jpg", ".jpeg", ".jpe", ".jfif"}, "png": {".png"}, "tiff": {".tif", ".tiff"}, "webp": {".webp"},
    "bmp": {".bmp", ".dib"}, "jpeg2000": {".jp2", ".j2k", ".jpf", ".jpx"}, "pnm": {".pgm", ".ppm", ".pnm"},
}  # fmt: skip
# Set anew by the writer for the picture that it writes, or true of the old pixels only.
_STALE = (
    "Orientation", "oiio:BitsPerSample", "oiio:subimages", "tiff:PhotometricInterpretation", "tiff:ColorSpace",
    "tiff:PageNumber", "tiff:subfiletype", "tiff:Compression", "tiff:PlanarConfiguration", "planarconfig",
    "Exif:PixelXDimension", "Exif:PixelYDimension", "oiio:RowsPerChunk", "tiff:RowsPerStrip",
)  # fmt: skip


@dataclass(frozen=True)
class Photo:
    """One decoded still and what travels with it."""

    kind: str
    """``jpeg``, ``png``, ``tiff``, ``webp``, ``bmp``, ``gif``, ``jpeg2000``, ``pnm`` or ``dpx``."""
    samples: NDArray[Any]
    """``(H, W, C)`` uint8 or uint16, C 1 or 3, upright."""
    depth_bits: int
    """8 to 16: significant bits; samples of 9 to 15 bits are held in uint16, unscaled."""
    alpha: NDArray[Any] | None = None
    """``(H, W)`` of the same depth; none when there is none."""
    pages: int = 1
    notes: tuple[str, ...] = ()
    baggage: dict[str, Any] = field(default_factory=dict)
    """What Pillow saves beside the pixels: ``icc_profile``, ``exif``, ``xmp``, ``dpi``."""
    spec: Any = None
    """OpenImageIO's description of the source; none when Pillow read it."""

    @property
    def mono(self) -> bool:
        """Whether the source has one channel."""
        return bool(self.samples.shape[2] == 1)


@dataclass(frozen=True)
class Header:
    """What a still says about itself before it is decoded."""

    kind: str
    width: int
    height: int
    channels: int
    depth_bits: int
    pages: int = 1
    cmyk: bool = False


def kind_of(path: Path) -> str:
    """Name the format by the file's first bytes, whatever it is called; raises ``InputError`` ``UNKNOWN_FORMAT``."""
    with reading(str(path)), path.open("rb") as file:
        head = file.read(16)
    known: tuple[tuple[str, bool], ...] = (
        ("jpeg", head.startswith(b"\xff\xd8")),
        ("png", head.startswith(b"\x89PNG")),
        ("tiff", head[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}),
        ("webp", head[:4] == b"RIFF" and head[8:12] == b"WEBP"),
        ("bmp", head.startswith(b"BM")),
        ("gif", head.startswith(b"GIF8")),
        ("jpeg2000", head[4:8] == b"jP  " or head.startswith(b"\xff\x4f\xff\x51")),
        ("pnm", head[:2] in {b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"}),
        ("dpx", head[:4] in {b"SDPX", b"XPDS"}),
    )
    for kind, fits in known:
        if fits:
            return kind
    raise InputError(f"{path}: not a photo of a known format", code="UNKNOWN_FORMAT")


def header(path: Path, settings: Settings) -> Header:
    """Read a still's header and check it against the limits; nothing is decoded.

    Raises:
        InputError: ``TOO_LARGE``, ``UNKNOWN_FORMAT``, ``BAD_HEADER``, ``UNSUPPORTED_PIXELS``, or the file is not there.
    """
    if check_file(path) > settings.max_still_bytes:
        raise InputError(f"{path}: more than {settings.max_still_bytes} bytes", code="TOO_LARGE")
    kind = kind_of(path)
    found = _oiio_header(path, kind) if kind in _OIIO_KINDS else _pillow_header(path, kind)
    if found.width * found.height > settings.max_pixels:
        raise InputError(
            f"{path}: {found.width}x{found.height} is more than {settings.max_pixels} pixels", code="TOO_LARGE"
        )
    return found


def read(path: Path, settings: Settings, *, accept_damaged: bool = False) -> Photo:
    """Decode a still, turned upright by its EXIF orientation; raises as :func:`header`, ``TRUNCATED`` and ``CORRUPT``.

    Palettes become RGB, CMYK becomes RGB by its profile, one-bit pictures become 8-bit grey.
    """
    found = header(path, settings)
    if found.kind in _OIIO_KINDS and not found.cmyk:
        return _read_oiio(path, found)
    return _read_pillow(path, found, accept_damaged=accept_damaged)


def write(photo: Photo, stem: Path) -> tuple[Path, tuple[str, ...]]:
    """Write a still in its own format and depth, or in the nearest that can hold it.

    Args:
        photo: The picture, with the baggage of its source.
        stem: The file's path without suffix.

    Returns:
        The file, and notes on what could not be kept.
    """
    kind, note = _kind_to_write(photo)
    path = stem.with_name(stem.name + _suffix(kind, photo))
    with writing(str(path)):
        if kind in _OIIO_KINDS:
            _write_oiio(photo, path, kind)
        else:
            _write_pillow(photo, path, kind)
    return path, (note,) if note else ()


def to_picture(photo: Photo) -> Picture:
    """Return a still's colours as ``(C, H, W)`` float32 of 0..1."""
    return pixels.to_picture(tuple(np.moveaxis(photo.samples, 2, 0)), _layout(photo, photo.samples.shape[2]))


def colour_spread(photo: Photo) -> float:
    """Return how far the colours of a still differ from one another, as ``pixels.chroma_spread``."""
    return pixels.chroma_spread(tuple(np.moveaxis(photo.samples, 2, 0)), _layout(photo, photo.samples.shape[2]))


def with_picture(photo: Photo, picture: Picture) -> Photo:
    """Return the still with other colours, at its own depth; alpha goes along, enlarged where the picture was.

    Args:
        photo: The still as it came in.
        picture: ``(C, H, W)`` float32, C 1 or 3.
    """
    planes = pixels.to_planes(picture, _layout(photo, picture.shape[0]))
    alpha = photo.alpha
    if alpha is not None and alpha.shape != planes[0].shape:
        alpha = cv2.resize(alpha, planes[0].shape[::-1], interpolation=cv2.INTER_LINEAR)
    return replace(photo, samples=np.stack(planes, axis=2), alpha=alpha)


def _layout(photo: Photo, channels: int) -> pixels.Layout:
    return pixels.Layout("gray" if channels == 1 else "rgb", photo.depth_bits)


# -- OpenImageIO


def _open(path: Path, kind: str) -> Any:
    wish = oiio.ImageSpec()
    # Otherwise colour would come multiplied by alpha, which cannot be undone where alpha is 0.
    wish.attribute("oiio:UnassociatedAlpha", 1)
    opened = oiio.ImageInput.open(str(path), wish)
    if opened is None:
        message = says(ValueError(oiio.geterror() or "the header cannot be read"))
        raise InputError(f"{path}: {message}", code=_code_of(message, "BAD_HEADER"))
    if opened.format_name() != kind:
        raise InputError(f"{path}: named as another format than the {kind} that it is", code="BAD_HEADER")
    return opened


def _oiio_header(path: Path, kind: str) -> Header:
    with reading(str(path), code="BAD_HEADER"):
        opened = _open(path, kind)
        spec = opened.spec()
        depth = {"uint8": 8, "uint16": 16}.get(str(spec.format), 0)
        if not depth or spec.nchannels > 5 or spec.deep or spec.depth > 1:
            raise InputError(
                f"{path}: {spec.nchannels} channels of {spec.format} are not supported", code="UNSUPPORTED_PIXELS"
            )
        bits = spec.get_int_attribute("oiio:BitsPerSample", depth)
        bits = bits if 8 < bits < depth else depth
        pages = spec.get_int_attribute("oiio:subimages", 0) or _pages(opened)
        cmyk = kind == "tiff" and spec.get_string_attribute("tiff:ColorSpace") == "CMYK"
        opened.close()
    return Header(kind, spec.width, spec.height, spec.nchannels, bits, max(1, pages), cmyk)


def _pages(opened: Any) -> int:
    count = 1
    while count < 10_000 and opened.seek_subimage(count, 0):
        count += 1
    opened.seek_subimage(0, 0)
    return count


def _read_oiio(path: Path, found: Header) -> Photo:
    with reading(str(path)):
        opened = _open(path, found.kind)
        spec = oiio.ImageSpec(opened.spec())
        samples = opened.read_image(spec.format)
        error = opened.geterror()
        opened.close()
    if samples is None or error:
        raise InputError(f"{path}: {says(ValueError(error or 'cannot be decoded'))}", code=_code_of(error, "CORRUPT"))
    samples = np.asarray(samples).reshape(spec.height, spec.width, spec.nchannels)
    if found.depth_bits not in {8, 16}:
        # The reader stretches 10 and 12 bits to 16; this gives back the samples that are in the file.
        full = np.float64(2**found.depth_bits - 1) / 65535
        samples = np.rint(samples * full).astype(np.uint16)
    turned = _upright(samples, spec.get_int_attribute("Orientation", 1))
    alpha = np.ascontiguousarray(turned[..., -1]) if spec.alpha_channel >= 0 else None
    colours = turned[..., : 3 if spec.nchannels >= 3 else 1]
    return Photo(found.kind, np.ascontiguousarray(colours), found.depth_bits, alpha, found.pages, spec=spec)


def _code_of(message: str, otherwise: str) -> str:
    signs = (
        "truncat",
        "end of file",
        "unexpected end",
        "not enough data",
        "incomplete",
        "read directory at",
        "read error at",
    )
    return "TRUNCATED" if any(sign in message.lower() for sign in signs) else otherwise


def _write_oiio(photo: Photo, path: Path, kind: str) -> None:
    samples = _stacked(photo)
    height, width, channels = samples.shape
    spec = oiio.ImageSpec(width, height, channels, "uint8" if samples.dtype == np.uint8 else "uint16")
    for attribute in photo.spec.extra_attribs if photo.spec is not None else ():
        if attribute.name not in _STALE and not attribute.name.startswith(("dpx:", "oiio:Gamma")):
            spec.attribute(attribute.name, attribute.type, attribute.value)
    if spec.get_string_attribute("compression").startswith("ccitt"):
        spec.attribute("compression", "zip")
    if photo.alpha is not None:
        spec.alpha_channel = channels - 1
        spec.channelnames = ("R", "G", "B", "A") if channels == 4 else ("Y", "A")
        spec.attribute("oiio:UnassociatedAlpha", 1)
    for name, value in (("ICCProfile", photo.baggage.get("icc_profile")),):
        if value:
            spec.attribute(name, oiio.TypeDesc(f"uint8[{len(value)}]"), np.frombuffer(value, np.uint8))
    out = oiio.ImageOutput.create(kind)
    if out is None or not out.open(str(path), spec) or not out.write_image(samples) or not out.close():
        raise TransientError(f"Writing {path}: {says(ValueError(out.geterror() if out else oiio.geterror()))}")


# -- Pillow


def _pillow_open(path: Path, kind: str) -> ImageFile.ImageFile:
    try:
        with warnings.catch_warnings():
            # What is wrong with EXIF is found and noted when it is carried over.
            warnings.simplefilter("ignore")
            return Image.open(path, formats=[_PILLOW[kind]])
    except UnidentifiedImageError as error:
        # Its first bytes are the format's own, so it is not unknown but broken.
        raise InputError(f"{path}: its {kind} header is damaged", code="BAD_HEADER") from error


def _cut_riff(path: Path) -> bool:
    """Whether a WebP file ends before the size that it begins with."""
    with path.open("rb") as file:
        head = file.read(8)
    return head[:4] == b"RIFF" and path.stat().st_size < int.from_bytes(head[4:8], "little") + 8


def _pillow_header(path: Path, kind: str) -> Header:
    with reading(str(path), code="TRUNCATED" if _cut_riff(path) else "BAD_HEADER"), _pillow_open(path, kind) as image:
        pages = int(getattr(image, "n_frames", 1)) if kind == "gif" else 1
        depth = 16 if image.mode.startswith("I") else 8
        if image.mode == "F":
            raise InputError(f"{path}: floating point samples are not supported", code="UNSUPPORTED_PIXELS")
        return Header(kind, *image.size, len(image.getbands()), depth, pages, image.mode == "CMYK")


def _read_pillow(path: Path, found: Header, *, accept_damaged: bool) -> Photo:
    with reading(str(path)), _pillow_open(path, found.kind) as image:
        baggage, orientation, notes = _baggage(image)
        _load(image, accept_damaged=accept_damaged)
        plain, more = _plain(image, baggage)
        samples = _upright(np.atleast_3d(np.asarray(plain)), orientation)
    has_alpha = plain.mode in {"LA", "RGBA"}
    alpha = np.ascontiguousarray(samples[..., -1]) if has_alpha else None
    colours = np.ascontiguousarray(samples[..., :-1] if has_alpha else samples)
    if colours.dtype not in (np.uint8, np.uint16):
        colours = colours.astype(np.uint16)
    return Photo(found.kind, colours, found.depth_bits, alpha, found.pages, notes + more, baggage)


def _load(image: ImageFile.ImageFile, *, accept_damaged: bool) -> None:
    ImageFile.LOAD_TRUNCATED_IMAGES = accept_damaged
    try:
        image.load()
    except OSError as error:
        cut = any(sign in str(error).lower() for sign in ("truncat", "broken data stream", "unexpected end"))
        raise InputError(f"{image.filename!s}: {says(error)}", code="TRUNCATED" if cut else "CORRUPT") from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _plain(image: Image.Image, baggage: dict[str, Any]) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the picture as L, LA, I;16, RGB or RGBA."""
    if image.mode in {"L", "LA", "I;16", "RGB", "RGBA"}:
        return image, ()
    if image.mode == "CMYK":
        return _from_cmyk(image, baggage)
    if image.mode in {"1", "I", "I;16B", "I;16L"}:
        return image.convert("L" if image.mode == "1" else "I;16"), ()
    with_alpha = "transparency" in image.info or image.mode in {"PA", "RGBa", "La"}
    return image.convert("RGBA" if with_alpha else "RGB"), ()


def _from_cmyk(image: Image.Image, baggage: dict[str, Any]) -> tuple[Image.Image, tuple[str, ...]]:
    profile = baggage.pop("icc_profile", None)
    if profile:
        try:
            screen = ImageCms.createProfile("sRGB")
            press = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, press, screen, outputMode="RGB")
            if converted is not None:
                return converted, ("CMYK was converted to sRGB by its own profile.",)
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return image.convert("RGB"), ("CMYK without a usable profile was converted to RGB by plain inversion.",)


def _baggage(image: Image.Image) -> tuple[dict[str, Any], int, tuple[str, ...]]:
    """Return what Pillow should save again, the orientation, and notes; hostile EXIF costs a note and no more."""
    found = {name: image.info[name] for name in ("icc_profile", "xmp", "dpi") if image.info.get(name)}
    try:
        with warnings.catch_warnings():
            # Pillow only warns of EXIF that it cannot follow to its end; half of it is no good to anybody.
            warnings.simplefilter("error")
            exif = image.getexif()
        orientation = exif.get(_ORIENTATION_TAG, 1)
        if exif:
            exif.pop(_ORIENTATION_TAG, None)
            exif.get_ifd(0x8769)
            found["exif"] = exif.tobytes()
    except Exception:  # Pillow's EXIF reader raises whatever its parts raise
        return found, 1, ("EXIF could not be read and was not carried over.",)
    return found, orientation if orientation in range(1, 9) else 1, ()


def _write_pillow(photo: Photo, path: Path, kind: str) -> None:
    options: dict[str, Any] = {name: value for name, value in photo.baggage.items() if name != "dpi" or kind != "webp"}
    if kind == "jpeg":
        options |= {"quality": JPEG_QUALITY, "subsampling": 0, "optimize": False}
    if kind == "webp":
        options |= {"lossless": True, "exact": True}
    if kind in {"bmp", "jpeg2000"}:
        options = {}
    samples = _stacked(photo)
    image = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    try:
        image.save(path, format=_PILLOW[kind], **options)
    except (ValueError, TypeError, OverflowError):
        # Baggage that one format carries may be too long or of a wrong type for another writer; pixels go first.
        options = {name: value for name, value in options.items() if name not in {"exif", "xmp", "dpi"}}
        image.save(path, format=_PILLOW[kind], **options)


# -- both


def _kind_to_write(photo: Photo) -> tuple[str, str]:
    deep = photo.depth_bits > 8
    if photo.kind in {"png", "tiff"}:
        return photo.kind, ""
    if photo.kind == "pnm" and photo.alpha is None:
        return "pnm", ""
    if photo.kind in {"jpeg", "webp", "bmp", "jpeg2000"} and not deep:
        return photo.kind, ""
    kind = "tiff" if deep else "png"
    return kind, f"Written as {kind.upper()}: {photo.kind.upper()} is not written with this depth and these channels."


def _suffix(kind: str, photo: Photo) -> str:
    if kind == "pnm":
        return ".pgm" if photo.samples.shape[2] == 1 else ".ppm"
    return {"jpeg": ".jpg", "tiff": ".tif", "jpeg2000": ".jp2"}.get(kind, f".{kind}")


def _stacked(photo: Photo) -> NDArray[Any]:
    samples = photo.samples
    if photo.depth_bits not in {8, 16}:
        # Files hold whole bytes; the inverse of what reading does.
        samples = np.rint(samples * np.float64(65535 / (2**photo.depth_bits - 1))).astype(np.uint16)
    if photo.alpha is None:
        return np.ascontiguousarray(samples)
    return np.ascontiguousarray(np.concatenate([samples, photo.alpha[..., None].astype(samples.dtype)], axis=2))


_TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda samples: samples[:, ::-1],
    3: lambda samples: samples[::-1, ::-1],
    4: lambda samples: samples[::-1],
    5: lambda samples: samples.swapaxes(0, 1),
    6: lambda samples: samples.swapaxes(0, 1)[:, ::-1],
    7: lambda samples: samples.swapaxes(0, 1)[::-1, ::-1],
    8: lambda samples: samples.swapaxes(0, 1)[::-1],
}


def _upright(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    turn = _TURNS.get(orientation)
    return np.ascontiguousarray(turn(samples) if turn else samples)
