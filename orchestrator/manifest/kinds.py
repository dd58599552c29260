"""Which suffix means a picture, which a film.

A suffix only says what to try: the worker looks at the bytes.
"""

from __future__ import annotations

from collections.abc import Set

from db.states import ItemKind


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PICTURES = _words("jpg jpeg jpe png tif tiff webp bmp jp2 j2k jpf jpx pgm ppm pnm pbm dpx cin exr tga gif hdr sgi rgb")
FILMS = _words(
    "mp4 m4v mkv webm mov qt avi mxf mpg mpeg mpe m2v m2ts mts ts vob wmv asf flv f4v 3gp 3g2 y4m dv ogv ogg "
    "gxf nut rm rmvb divx h264 264 h265 265 hevc mjpeg mjpg"
)
SOUNDS = _words("wav bwf rf64 w64 aif aiff flac mp3 m4a aac ac3 opus mka")

NAMES = {
    "image": ItemKind.STILL,
    "still": ItemKind.STILL,
    "video": ItemKind.REEL,
    "sequence": ItemKind.REEL,
    "reel": ItemKind.REEL,
}
"""Values of the manifest's ``kind`` field."""


def suffix(path: str) -> str:
    """Return the last suffix in lower case, without its dot."""
    _, dot, ending = path.rpartition(".")
    return ending.lower() if dot and "/" not in ending else ""


def by_suffix(path: str) -> ItemKind | None:
    """Return what the suffix promises; none when it is unknown."""
    ending = suffix(path)
    if ending in PICTURES:
        return ItemKind.STILL
    return ItemKind.REEL if ending in FILMS else None


def item_suffixes() -> Set[str]:
    """All suffixes that can be an item."""
    return PICTURES | FILMS
