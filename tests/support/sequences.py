"""Small image sequences of every kind, made by OpenImageIO and Pillow and read by them: what ours is held against."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray
from PIL import Image

from db.records import ItemResult, Sequence
from tests.support.reels import House

NAMES = {"exr": "openexr", "jp2": "jpeg2000", "tif": "tiff", "pgm": "pnm", "ppm": "pnm"}


def samples(number: int, channels: int, bits: int, height: int = 24, width: int = 34) -> NDArray[Any]:
    """Random samples ``(H, W, C)``, other ones for every number."""
    rng = np.random.default_rng(1000 * bits + number)
    found = rng.integers(0, 2**bits, (height, width, channels))
    return found.astype(np.uint8 if bits == 8 else np.uint16)


def floats(number: int, channels: int, kind: Any, height: int = 24, width: int = 34) -> NDArray[Any]:
    """Samples below 0, above 1, very small and very large ones among them."""
    rng = np.random.default_rng(number)
    found = rng.normal(0.5, 1, (height, width, channels)).astype(kind)
    found[0, :6, 0] = [0, -0.0, 1, 60000, 6e-8, -3.5]
    return found


def write(path: Path, pixels: NDArray[Any], bits: int = 0, **attributes: Any) -> Path:
    """Write samples with OpenImageIO; 10 and 12 bits are stretched as it wants them."""
    kind = path.suffix[1:]
    type_ = {"uint8": "uint8", "uint16": "uint16", "float16": "half", "float32": "float"}[str(pixels.dtype)]
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], type_)
    if bits:
        spec.attribute("oiio:BitsPerSample", bits)
        pixels = np.rint(pixels * np.float64(65535 / (2**bits - 1))).astype(np.uint16)
    if pixels.shape[2] == 1:
        spec.channelnames = ("Y",)
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), *(value if isinstance(value, tuple) else (value,)))
    out = oiio.ImageOutput.create(NAMES.get(kind, kind))
    assert out is not None
    assert out.open(str(path), spec), out.geterror()
    assert out.write_image(np.ascontiguousarray(pixels)), out.geterror()
    assert out.close()
    return path


def read(path: Path, bits: int = 0) -> NDArray[Any]:
    """Read samples with OpenImageIO; 10 and 12 bits are brought back to what is in the file."""
    opened = oiio.ImageInput.open(str(path))
    assert opened is not None, oiio.geterror()
    spec = opened.spec()
    found = np.asarray(opened.read_image(spec.format)).reshape(spec.height, spec.width, spec.nchannels)
    opened.close()
    return np.rint(found * np.float64((2**bits - 1) / 65535)).astype(np.uint16) if bits else found


def attribute(path: Path, name: str) -> Any:
    """One attribute of a file, as OpenImageIO reads it."""
    opened = oiio.ImageInput.open(str(path))
    assert opened is not None
    found = opened.spec().getattribute(name)
    opened.close()
    return found


def numbered(suffix: str, start: int, end: int, padding: int = 4, **more: int) -> Sequence:
    """The sequence ``f_<number><suffix>``."""
    return Sequence(prefix="f_", suffix=suffix, padding=padding, start=start, end=end, **more)


def files(at: House, result: ItemResult) -> dict[str, bytes]:
    """The files of a reel's output ``sequence``, by name, in the order in which they lie in the tar files."""
    found: dict[str, bytes] = {}
    parts = sorted(name for name in result.outputs if name.startswith("sequence-"))
    assert parts == [f"sequence-{number:06d}" for number in range(len(parts))]
    for name in parts:
        with tarfile.open(fileobj=io.BytesIO(at.store.read(result.outputs[name]))) as tar:
            for member in tar:
                body = tar.extractfile(member)
                assert body is not None
                assert (member.mtime, member.uid, member.uname) == (0, 0, "")
                found[member.name] = body.read()
    return found


def jpeg(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    """Write a JPEG with Pillow."""
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path, **options)
    return path
