"""What a decoded still is, and which formats there are. ``workers.media`` alone imports it; the face is ``stills``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.errors import InputError
from workers.media.errors import reading
from workers.media.pixels import Layout
from workers.media.stills import dpx
from workers.media.transfer import Transfer

OPENIMAGE = {"png", "tiff", "pnm", "exr", "jpeg2000"}
"""Formats that OpenImageIO reads and writes; Pillow has the others, but for DPX, which is our own."""
SUFFIXES = {
    "jpeg": ".jpg", "tiff": ".tif", "jpeg2000": ".jp2", "png": ".png", "webp": ".webp", "bmp": ".bmp", "exr": ".exr",
    "dpx": ".dpx",
}  # fmt: skip
"""The suffix of a written file; PNM has one for grey and one for colour."""


@dataclass(frozen=True)
class Photo:
    """One decoded still and what travels with it."""

    kind: str
    """``jpeg``, ``png``, ``tiff``, ``webp``, ``bmp``, ``gif``, ``jpeg2000``, ``pnm``, ``exr``, ``dpx``,
    ``lossless JPEG`` or ``JPEG-LS``."""
    samples: NDArray[Any]
    """``(H, W, C)`` uint8 or uint16, for EXR float16 or float32; C 1 or 3, upright."""
    depth_bits: int
    """8 to 16: significant bits, those of 9 to 15 held in uint16, unscaled; of EXR 16 or 32."""
    alpha: NDArray[Any] | None = None
    """``(H, W)`` of the same depth; none when there is none."""
    pages: int = 1
    notes: tuple[str, ...] = ()
    baggage: dict[str, Any] = field(default_factory=dict)
    """What Pillow saves beside the pixels: ``icc_profile``, ``exif``, ``xmp``, ``dpi``."""
    spec: Any = None
    """OpenImageIO's description of the source; none when another reader was at work."""
    head: dpx.DpxHeader | None = None
    """The header of a DPX file."""
    transfer: Transfer = "gamma"
    """How samples stand for light."""
    turned: bool = False
    """Whether samples were turned upright, other than they lie in the file."""

    @property
    def mono(self) -> bool:
        """Whether the source has one channel."""
        return bool(self.samples.shape[2] == 1)

    @property
    def floating(self) -> bool:
        """Whether samples are floating point numbers."""
        return bool(self.samples.dtype.kind == "f")

    def layout(self, channels: int | None = None) -> Layout:
        """Return how the samples stand for a picture; with other ``channels``, how those of such a one would."""
        is_gray = (channels or self.samples.shape[2]) == 1
        return Layout("gray" if is_gray else "rgb", self.depth_bits, transfer=self.transfer, floating=self.floating)


@dataclass(frozen=True)
class StillHeader:
    """What a still says about itself before it is decoded."""

    kind: str
    width: int
    height: int
    channels: int
    depth_bits: int
    pages: int = 1
    cmyk: bool = False
    floating: bool = False
    transfer: Transfer = "gamma"
    """How samples stand for light."""
    rates: tuple[Fraction, ...] = ()
    """Frames per second, wherever the header gives them; unlike ones are a contradiction."""
    odd_rates: tuple[str, ...] = ()
    """What the header gives instead, and can be no rate, in words."""
    timecode: str = ""
    writer: str = ""
    """What program wrote the file, where that matters."""


def kind_of(path: Path) -> str:
    """Name the format by the file's first bytes, whatever it is called; raises ``InputError`` ``UNKNOWN_FORMAT``."""
    with reading(str(path)), path.open("rb") as file:
        head = file.read(16)
    signatures: tuple[tuple[str, bool], ...] = (
        ("jpeg", head.startswith(b"\xff\xd8")),
        ("png", head.startswith(b"\x89PNG")),
        ("tiff", head[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}),
        ("webp", head[:4] == b"RIFF" and head[8:12] == b"WEBP"),
        ("bmp", head.startswith(b"BM")),
        ("gif", head.startswith(b"GIF8")),
        ("jpeg2000", head[4:8] == b"jP  " or head.startswith(b"\xff\x4f\xff\x51")),
        ("pnm", head[:2] in {b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"}),
        ("exr", head.startswith(b"\x76\x2f\x31\x01")),
        ("dpx", head[:4] in {b"SDPX", b"XPDS"}),
    )
    for kind, fits in signatures:
        if fits:
            return kind
    raise InputError(f"{path}: not a photo of a known format", code="UNKNOWN_FORMAT")


def is_still(path: Path) -> bool:
    """Whether a file begins like a photo of a known format."""
    try:
        kind_of(path)
    except InputError as error:
        if error.code != "UNKNOWN_FORMAT":
            raise
        return False
    return True


def decoding_fault(path: Path, message: str, otherwise: str = "CORRUPT") -> InputError:
    """Return what it means that a library does not read a still, from what it says."""
    code = "TRUNCATED" if is_truncation(message) else "UNSUPPORTED_PIXELS" if _is_unknown(message) else otherwise
    return InputError(f"{path}: {message}", code=code)


def _is_unknown(message: str) -> bool:
    signs = ("not configured", "not implemented", "not supported", "unsupported", "only images with")
    return any(sign in message.lower() for sign in signs)


def damage_note(what: str, code: str = "CORRUPT") -> str:
    """Return what the report says of damage that was accepted."""
    return f"{code}: the file is damaged ({what}); what could be decoded of it was restored."


def is_truncation(message: str) -> bool:
    """Whether a library's message says that a file ends too early."""
    signs = (
        "truncat", "end of file", "unexpected end", "not enough data", "incomplete", "read directory at",
        "read error at", "broken data stream", "file is too short", "early eof", "missing data",
        "inconsistent with stream length",
    )  # fmt: skip
    return any(sign in message.lower() for sign in signs)


_TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda samples: samples[:, ::-1],
    3: lambda samples: samples[::-1, ::-1],
    4: lambda samples: samples[::-1],
    5: lambda samples: samples.swapaxes(0, 1),
    6: lambda samples: samples.swapaxes(0, 1)[:, ::-1],
    7: lambda samples: samples.swapaxes(0, 1)[::-1, ::-1],
    8: lambda samples: samples.swapaxes(0, 1)[::-1],
}


def upright(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return samples ``(H, W, C)`` turned and mirrored as the EXIF orientation 1 to 8 asks."""
    turn = _TURNS.get(orientation)
    return np.ascontiguousarray(turn(samples) if turn else samples)


def join_alpha(photo: Photo) -> NDArray[Any]:
    """Return colours and alpha as ``(H, W, C)``."""
    if photo.alpha is None:
        return photo.samples
    return np.concatenate([photo.samples, photo.alpha[..., None].astype(photo.samples.dtype)], axis=2)


def to_export_samples(photo: Photo) -> NDArray[Any]:
    """Return colours and alpha as libraries want them: depths of 9 to 15 bits are stretched to 16."""
    samples = join_alpha(photo)
    if 8 < photo.depth_bits < 16:
        # The inverse of what reading does.
        samples = scale_codes(samples, np.float64(65535 / (2**photo.depth_bits - 1)))
    return np.ascontiguousarray(samples)


def scale_codes(samples: NDArray[np.uint16], factor: np.float64) -> NDArray[np.uint16]:
    """Return samples times a factor, rounded half to even; looked up, as float64 would take four times the room."""
    table = np.rint(np.arange(1 << 16) * factor).clip(0, 65535).astype(np.uint16)
    scaled: NDArray[np.uint16] = np.take(table, samples)
    return scaled


def matching_profile(channels: int, profile: bytes) -> bytes:
    """Return an ICC profile if it is one for so many channels of colour, else nothing."""
    space = {1: b"GRAY", 3: b"RGB "}[channels]
    return b"" if profile[16:20] in {b"GRAY", b"RGB ", b"CMYK"} and profile[16:20] != space else profile
