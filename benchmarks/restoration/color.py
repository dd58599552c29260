"""The colorizer that comes with Reelwright, as its network says and as the stage softens it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.restoration.page import Chapter, Figure, Sheet
from benchmarks.restoration.photos import draw_page, psnr_db, read_photo
from db.catalog.shipped import FOLDER
from db.catalog.stages.color import ColorizeParams
from workers.frames import STILL, Clip
from workers.models.checkpoints import loading
from workers.ops import colorfulness, planes
from workers.ops.planes import Planes
from workers.stages import colorize

_PHOTOS = 160
_WAYS = {
    "as the network says": {"chroma_smoothing": 0, "chroma_limit": 0},
    "smoothed": {"chroma_smoothing": 8, "chroma_limit": 0},
    "limited": {"chroma_smoothing": 0, "chroma_limit": 36},
    "both: the default": {},
}
_LOUD = 40.0
"""Chroma of CIE Lab that old tinted photographs hardly reach."""
_SHEET_PX = 720


def measure(media: Path) -> Chapter:
    """Measure the shipped weights with and without what softens their colours."""
    photos = _validation_photos(media.parent / "train" / "val-0000.tar")
    network = loading.load(FOLDER / "reelwright-color.safetensors", "reelwright-color")
    text = f"""The shipped weights on the first {_PHOTOS} validation photographs, which training never saw: their colour
was taken away and given back. PSNR in dB is over all channels; a picture left grey is the one to beat. *Colourfulness*
is Hasler and Süsstrunk's, signed; beside it that of the photographs themselves. *Loud* is the share of pixels whose
chroma exceeds {_LOUD:.0f}. `chroma_smoothing` smooths colour along lightness, `chroma_limit` bends what is strong; each
brings about 0.1 dB, for less colour. No other colorizer's weights install with a package, so there is none beside ours.

What still fails, on the black-and-white photographs: one tone is laid over much of a picture (all is brown around
Armstrong, the migrant mother and the boy with his toy), while others stay all but grey (Detroit, the sailing ship, the
postman, the flags). A plain wall turns blue on one side, white dresses turn yellow, the studio behind the lady with
the hat becomes a lawn. Faces get skin where they are large, and hands often none. Plates of three exposures are
coloured as if they were scenes, yellow or brick red. Colours are likely, not true, and six tenths as strong as those
of photographs."""
    return Chapter("`colorize`, the shipped weights", text, list(_figures(photos, network)), _sheets(media, network))


def _figures(photos: Sequence[Planes], network: torch.nn.Module) -> Iterator[Figure]:
    gray = [np.repeat(planes.luma(photo)[None], 3, axis=0) for photo in photos]
    own = float(np.mean([colorfulness.signed(photo) for photo in photos]))
    grays = float(np.mean([psnr_db(one, photo) for one, photo in zip(gray, photos, strict=True)]))
    loud = float(np.mean([_loud_share(photo) for photo in photos]))
    for way, params in _WAYS.items():
        made = [_colorize(photo, network, params) for photo in photos]
        psnr = float(np.mean([psnr_db(one, photo) for one, photo in zip(made, photos, strict=True)]))
        yield Figure(f"{way}: PSNR, dB", f"{grays:.2f} (grey)", f"{psnr:.2f}", f"> {grays:.2f}", psnr > grays)
        strength = float(np.mean([colorfulness.signed(one) for one in made]))
        yield Figure(f"{way}: colourfulness", f"{own:.1f} (the photographs)", f"{strength:.1f}")
        share = float(np.mean([_loud_share(one) for one in made]))
        yield Figure(f"{way}: loud, %", f"{loud * 100:.1f} (the photographs)", f"{share * 100:.1f}")


def _validation_photos(path: Path) -> list[Planes]:
    photos: list[Planes] = []
    with tarfile.open(path) as archive:
        for member in archive:
            if not member.name.endswith(".jpg"):
                continue
            data = np.frombuffer(archive.extractfile(member).read(), np.uint8)  # type: ignore[union-attr]
            levels = cv2.imdecode(data, cv2.IMREAD_COLOR)
            photos.append(planes.from_levels(np.ascontiguousarray(levels[..., ::-1])))
            if len(photos) == _PHOTOS:
                break
    return photos


def _colorize(picture: Planes, network: torch.nn.Module, params: dict[str, int]) -> Planes:
    """Return the picture in the colours of the network, rounded to 8 bits."""
    clip = Clip(torch.from_numpy(np.ascontiguousarray(picture))[None], 0, (0,))
    frames = colorize.restore(clip, 0, 1, ColorizeParams(**params), STILL, network)
    return np.rint(np.clip(planes.from_frame(frames[0]), 0, 1) * 255).astype(np.float32) / 255


def _loud_share(picture: Planes) -> float:
    levels = cv2.cvtColor(np.ascontiguousarray(picture.transpose(1, 2, 0)), cv2.COLOR_RGB2Lab)
    return float((np.hypot(levels[..., 1], levels[..., 2]) > _LOUD).mean())


def _sheets(media: Path, network: torch.nn.Module) -> list[Sheet]:
    """Return all black-and-white photographs before and after."""
    groups = []
    for path in sorted((media / "photos_bw").glob("*.jpg")):
        gray = planes.luma(planes.resize_to_fit(read_photo(path), _SHEET_PX))[None]
        groups.append((gray, _colorize(gray, network, {})))
    half = len(groups) // 2
    return [Sheet("color_first", draw_page(groups[:half], 300)), Sheet("color_second", draw_page(groups[half:], 300))]
