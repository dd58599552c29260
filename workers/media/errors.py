"""Translates what PyAV, OpenImageIO and Pillow raise into the house's errors."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import av.error
from PIL import UnidentifiedImageError

from db.errors import InputError, OutOfMemoryError, TransientError, lacks_room
from workers import memory

_CODES: tuple[tuple[type[Exception], str], ...] = (
    (av.error.EOFError, "TRUNCATED"),
    (av.error.PermissionError, "SOURCE_DENIED"),
    (av.error.FileNotFoundError, "FILE_MISSING"),
    (av.error.DecoderNotFoundError, "UNKNOWN_FORMAT"),
    (av.error.DemuxerNotFoundError, "UNKNOWN_FORMAT"),
    (av.error.PatchWelcomeError, "UNSUPPORTED_PIXELS"),
    (UnidentifiedImageError, "UNKNOWN_FORMAT"),
    (PermissionError, "SOURCE_DENIED"),
    (FileNotFoundError, "FILE_MISSING"),
)
# What hostile or broken headers make the libraries' own Python code raise.
_BROKEN = (
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
    ArithmeticError,
    SyntaxError,
    EOFError,
    struct.error,
)


@contextmanager
def reading(where: str, code: str = "CORRUPT") -> Iterator[None]:
    """Translate errors met while reading a source.

    Args:
        where: File, and frame where known; the message begins with it.
        code: For data that cannot be decoded and has no better name.

    Raises:
        InputError: The source is at fault.
        OutOfMemoryError: The machine was too small for it.
    """
    try:
        yield
    except MemoryError as error:
        raise shortage(error, where, code) from error
    except (av.error.FFmpegError, OSError, *_BROKEN) as error:
        raise InputError(f"{where}: {error_text(error)}", code=_error_code(error, code)) from error


@contextmanager
def writing(where: str) -> Iterator[None]:
    """Translate errors met while writing a file of ours: they pass, since a full disk may be emptied.

    Raises:
        TransientError: The file cannot be written now.
        OutOfMemoryError: The machine was too small for it.
    """
    try:
        yield
    except MemoryError as error:
        raise OutOfMemoryError(memory.shortage(f"{where}: not enough memory to write it")) from error
    except (av.error.FFmpegError, OSError) as error:
        code = "NO_SPACE" if lacks_room(error) else None
        raise TransientError(f"Writing {where}: {error_text(error)}", code=code) from error


def shortage(error: MemoryError, where: str, code: str = "CORRUPT") -> InputError | OutOfMemoryError:
    """Return what it means that there was no memory to read a source.

    FFmpeg says so as well when a damaged file asks for a senseless amount: while there is room, the file is at fault.
    """
    if isinstance(error, av.error.FFmpegError) and memory.has_room():
        return InputError(f"{where}: asks for more memory than any picture of its size needs", code=code)
    return OutOfMemoryError(memory.shortage(f"{where}: not enough memory to read it"))


def error_text(error: BaseException) -> str:
    """Return a library's message in one line."""
    if isinstance(error, av.error.ExitError):  # "Immediate exit requested", when its time was over
        return "it takes too long to be read"
    said: object = getattr(error, "strerror", None) or next(iter(error.args), "")
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(getattr(error, "strerror", None) or error)
    return " ".join(text.split())[:200] or type(error).__name__


def _error_code(error: Exception, otherwise: str) -> str:
    if "truncated" in str(error).lower():
        return "TRUNCATED"
    return next((code for kind, code in _CODES if isinstance(error, kind)), otherwise)
