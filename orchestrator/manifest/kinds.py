"""Which suffix means a picture, which a film.

A suffix only says what to try: the worker looks at the bytes.
"""

from __future__ import annotations

from collections.abc import Set

from db.states import ItemKind


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PICTURES = _words(
    "jpg jpeg jpe jfif jif jps mpo jls ljpg ljpeg png apng tif tiff btf tf8 webp bmp dib jp2 j2k j2c jpc jpf jpx pgm "
    "ppm pnm pbm dpx cin exr tga gif hdr sgi rgb"
)
FILMS = _words(
    "mp4 m4v m4p mp4v mkv mk3d webm mov qt avi divx xvid mxf gxf lxf nut rm rmvb rv ivf obu "
    "mpg mpeg mpe mpv mpv2 m1v m2v m2p mp2v mp1v mpg2 mpeg1 mpeg2 m1s m2s vob vro evo dat mod vdr pva "
    "m2ts mts ts m2t tp trp tod tts mp2t mpegts ty wtv dvr-ms rec "
    "wmv wm asf flv f4v f4p 3gp 3gpp 3g2 3gp2 k3g ismv psp mj2 mjp2 amv nsv nuv viv xmv dav flc fli flm smk bik roq "
    "y4m yuv4mpeg dv dif ogv ogg ogm ogx drc "
    "h264 264 avc h265 265 hevc h266 266 vvc h261 h263 263 vc1 vc2 cavs avs2 m4e mjpeg mjpg mjp"
)
CAPTURES = _words("dpx cin exr")
"""Pictures that only film scanners and effects houses write: in numbers, they are a film."""
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
