"""Faded dyes: photographs and films faded by a model of what dyes do, and real ones without their truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.restoration.films import Pictures, Run, read_film
from benchmarks.restoration.page import Chapter, Figure, Sheet, at_least, at_most
from benchmarks.restoration.peers import has_filter, run_filter
from benchmarks.restoration.photos import color_photos, draw_page, psnr_db, read_photo, restore_still
from workers.ops import lab
from workers.ops.dye_density import linear_light
from workers.ops.planes import Planes

_CROSSTALK = 0.08
_LEAST_LIGHT = 3e-3
"""What the darkest place of a print still throws back: without it, black has no density that could fade."""
_SHARES = {"severe": 1.0, "half": 0.5}
_FILMS = {"cockatoo_1280x720": 20, "road_960x540": 20, "seeking_720x480": 12}
"""Every how manieth frame is taken."""
_PEERS = {
    "normalize": ("normalize", "smoothing=0:independence=1:blackpt=black:whitept=white"),
    "grayworld": ("grayworld", ""),
    "colorcorrect": ("colorcorrect", "analyze=average"),
}
Restore = Callable[[Planes], Planes]


def measure(media: Path) -> Chapter:
    """Measure what becomes of faded, half faded and sound pictures."""
    photos = color_photos(media)
    figures = [
        *_photo_figures(photos), *_black_figures(photos), *_control_figures(photos, media), *_film_figures(media),
    ]  # fmt: skip
    text = """22 colour photographs whose dyes were faded: cyan by 25 to 55 %, magenta by 2 to 20 %, yellow by 10 to
40 %, with a stain of up to 0.2 in density and 8 % of each layer in the channels of the others (*severe*), or half of
all that (*half*), rounded to 8 bits. Black throws back 3/1000 of the light, as prints do, and 1/1000 or 6/1000 for
comparison. The stage is told nothing of it; it runs with its defaults. The first number is the mean colour difference
(CIEDE2000), the second PSNR in dB. A film is faded alike in all frames; eight of its frames go through with the profile
of the reel. Sound photographs are the control, and so are black-and-white ones.

What still fails: nothing in a single picture tells a faded print from a scene without black, without white or all of
one colour. Where one layer of a sound picture has little range, the stage takes it for faded: the mean over the
photographs is made by seven that move by 12 to 27, and half of them hardly move. Half faded photographs are pulled
beyond what they were, and there FFmpeg's `normalize`, which stretches codes and knows no dyes, is nearer the truth.
Where black throws back 1/1000 (a channel of saturated colours is then denser than any print), the severely faded gain
less than the bar, and the half faded come out worse than they came. A
scene without any clear place keeps its stain. Of the real ones, `faded_a` and `faded_e` lose their cast and `faded_h`
stays as it is; `faded_b`, an autochrome with grains of dye in place of layers, turns from yellow to blue and wants
`amount: 0.4`."""
    return Chapter("`fading`", text, figures, (_real_sheet(media), _made_sheet(photos)))


def fade(picture: Planes, rng: np.random.Generator, share: float, black: float = _LEAST_LIGHT) -> Planes:
    """Return the picture as its dyes leave it after a share of the severe fading, rounded to 8 bits.

    Args:
        picture: ``(3, H, W)``.
        rng: Draws what each layer loses.
        share: Of the severe fading.
        black: Share of the light that no place goes below.
    """
    densities = -np.log10(np.maximum(linear_light(np.clip(picture, 0, 1).astype(np.float64)), black))
    lost = np.array([rng.uniform(0.25, 0.55), rng.uniform(0.02, 0.20), rng.uniform(0.10, 0.40)]) * share
    stain = rng.uniform(0, 0.2) * np.array([0.2, 0.4, 1.0]) * share
    left = densities * (1 - lost)[:, None, None]
    crosstalk = _CROSSTALK * share
    left = left * (1 - 1.5 * crosstalk) + left.sum(axis=0) * (crosstalk / 2) + stain[:, None, None]
    light = 10.0**-left
    codes = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (np.rint(np.clip(codes, 0, 1) * 255) / 255).astype(np.float32)


# -- figures


def _photo_figures(photos: Sequence[Planes]) -> Iterator[Figure]:
    bars = {"severe": (7.5, 27.0), "half": (0.0, 0.0)}
    for name, share in _SHARES.items():
        faded = [fade(photo, np.random.default_rng(number), share) for number, photo in enumerate(photos)]
        before = _scores(faded, photos)
        after = _scores([_restore(picture) for picture in faded], photos)
        enhanced = _scores([restore_still(picture, "[color_enhance]")[0] for picture in faded], photos)
        others = [f"`color_enhance` {_write(enhanced)}"]
        others += [f"{peer} {_write(_scores([run(p) for p in faded], photos))}" for peer, run in _peers().items()]
        bar = bars[name] if name == "severe" else before
        ours, most, met = at_most(after[0], bar[0])
        yield Figure(f"{name} fading, ΔE", f"{before[0]:.2f}", ours, most, met, "; ".join(others))
        ours, least, met = at_least(after[1], bar[1])
        yield Figure(f"{name} fading, PSNR, dB", f"{before[1]:.2f}", ours, least, met)


def _black_figures(photos: Sequence[Planes]) -> Iterator[Figure]:
    """Measure fades whose black is another one."""
    for black in (1e-3, 6e-3):
        for name, share in _SHARES.items():
            faded = [fade(photo, np.random.default_rng(n), share, black) for n, photo in enumerate(photos)]
            before, after = _scores(faded, photos), _scores([_restore(picture) for picture in faded], photos)
            _, bar, met = at_most(after[0], 7.5 if name == "severe" else before[0])
            yield Figure(f"{name} fading, black of {black * 1000:.0f}/1000: ΔE / dB", _write(before), _write(after),
                         f"ΔE {bar}", met)  # fmt: skip


def _control_figures(photos: Sequence[Planes], media: Path) -> Iterator[Figure]:
    moved = [float(delta_e(_restore(photo), photo).mean()) for photo in photos]
    wanted = [float(delta_e(_restore(photo, "{amount: 1}"), photo).mean()) for photo in photos]
    still = sum(move == 0 for move in moved)
    others = "; ".join(
        f"{peer} {np.mean([delta_e(run(photo), photo).mean() for photo in photos]):.2f}"
        for peer, run in _peers().items()
    )
    yield Figure("sound photographs, ΔE that they move", "", f"{np.mean(moved):.2f}", others=others)
    yield Figure("the same, photographs that stay as they are", "", f"{still} of {len(photos)}")
    yield Figure("the same with `amount: 1`, ΔE", "", f"{np.mean(wanted):.2f}")
    gray = [read_photo(path) for path in sorted((media / "photos_bw").glob("*.jpg"))]
    kept = sum(np.array_equal(_restore(photo), photo) for photo in gray)
    yield Figure("black-and-white and toned photographs that stay as they are", "", f"{kept} of {len(gray)}",
                 f"{len(gray)}", kept == len(gray))  # fmt: skip


def _film_figures(media: Path) -> Iterator[Figure]:
    for name, every in _FILMS.items():
        sound = _read_some(media / "film_clean" / f"{name}.mp4", every)
        for kind, share in {**_SHARES, "no": 0.0}.items():
            faded = np.stack([fade(frame, np.random.default_rng(3), share) for frame in sound]) if share else sound
            after = Run(faded, "[fading]").frames
            before = _write(_scores(faded, sound)) if share else ""
            yield Figure(f"film `{name}`, {kind} fading: ΔE / dB", before, _write(_scores(after, sound)))


def _read_some(path: Path, every: int) -> Pictures:
    frames = read_film(path, 0, 7 * every + 1)[::every].transpose(0, 2, 3, 1)
    small = [cv2.resize(frame, (480, 320), interpolation=cv2.INTER_AREA) for frame in frames]
    return np.ascontiguousarray(np.stack(small).transpose(0, 3, 1, 2))


def _restore(picture: Planes, params: str = "{}") -> Planes:
    return restore_still(picture, f"[fading: {params}]")[0]


def _peers() -> dict[str, Restore]:
    def run(picture: Planes, call: tuple[str, str]) -> Planes:
        return run_filter(picture[None], *call, pixel_format="gbrpf32le" if call[0] == "grayworld" else "rgb24")[0]

    return {name: partial(run, call=call) for name, call in _PEERS.items() if has_filter(call[0])}


def _scores(pictures: Sequence[Planes], truth: Sequence[Planes]) -> tuple[float, float]:
    """Return mean colour difference and mean PSNR."""
    pairs = list(zip(pictures, truth, strict=True))
    differences = [float(delta_e(*pair).mean()) for pair in pairs]
    return float(np.mean(differences)), float(np.mean([min(psnr_db(*pair), 99.0) for pair in pairs]))


def _write(scores: tuple[float, float]) -> str:
    return f"{scores[0]:.1f} / {scores[1]:.1f}"


# -- sheets


def _real_sheet(media: Path) -> Sheet:
    photos = [read_photo(media / "photos_damaged" / f"faded_{letter}.png") for letter in "abeh"]
    return Sheet("fading_real", draw_page([(photo, _restore(photo)) for photo in photos], 400))


def _made_sheet(photos: Sequence[Planes]) -> Sheet:
    groups = []
    for number in range(1, len(photos), 4):
        faded = fade(photos[number], np.random.default_rng(number), 1.0)
        groups.append((faded, _restore(faded), photos[number]))
    return Sheet("fading_made", draw_page(groups))


# -- colour difference


def delta_e(one: Planes, other: Planes) -> NDArray[np.float64]:
    """Return CIEDE2000 (Sharma, Wu, Dalal 2005), pixel by pixel ``(H, W)``, of sRGB pictures ``(3, H, W)``."""
    first, second = (_to_lab(picture) for picture in (one, other))
    mean_chroma = (np.hypot(*first[1:]) + np.hypot(*second[1:])) / 2
    stretch = 1.5 - 0.5 * _seventh(mean_chroma)
    (chroma1, hue1), (chroma2, hue2) = (_polar(side[1] * stretch, side[2]) for side in (first, second))
    turn = (hue2 - hue1 + 180) % 360 - 180
    chroma, light = (chroma1 + chroma2) / 2, (first[0] + second[0]) / 2 - 50
    # Of grey, hue is nothing: then the other's counts.
    hue = np.where(chroma1 * chroma2 == 0, hue1 + hue2, hue1 + turn / 2)
    tone = 1 - 0.17 * _cos(hue - 30) + 0.24 * _cos(2 * hue) + 0.32 * _cos(3 * hue + 6) - 0.20 * _cos(4 * hue - 63)
    by_light = (second[0] - first[0]) / (1 + 0.015 * light**2 / np.sqrt(20 + light**2))
    by_chroma = (chroma2 - chroma1) / (1 + 0.045 * chroma)
    by_hue = 2 * np.sqrt(chroma1 * chroma2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * chroma * tone)
    bend = np.radians(60 * np.exp(-((((hue % 360) - 275) / 25) ** 2)))
    turned = -2 * _seventh(chroma) * np.sin(bend) * by_chroma * by_hue
    difference: NDArray[np.float64] = np.sqrt(np.maximum(by_light**2 + by_chroma**2 + by_hue**2 + turned, 0))
    return difference


def _to_lab(picture: Planes) -> NDArray[np.float64]:
    inside = torch.from_numpy(np.clip(picture, 0, 1).astype(np.float64))[None]
    converted: NDArray[np.float64] = lab.rgb_to_lab(inside)[0].numpy().astype(np.float64)
    return converted


def _polar(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360


def _seventh(chroma: NDArray[np.float64]) -> NDArray[np.float64]:
    power = chroma**7
    share: NDArray[np.float64] = np.sqrt(power / (power + 25.0**7))
    return share


def _cos(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    cosine: NDArray[np.float64] = np.cos(np.radians(degrees))
    return cosine
