"""Faces: portraits that were blurred, with their truth; sharp ones and scenes without any as controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.restoration.page import Chapter, Figure, Sheet, at_least
from benchmarks.restoration.peers import has_filter, run_filter
from benchmarks.restoration.photos import draw_page, psnr_db, read_photo, restore_still
from workers.models.parts.face_detector import Face, find_faces
from workers.ops import planes
from workers.ops.planes import Planes

_PORTRAITS = (
    "armstrong_1946", "boy_hine_1910s", "lady_hat_1900s", "london_boy_1945", "migrant_mother_1936", "newsboys_1910",
    "smithsonian_man_sepia",
)  # fmt: skip
_DAMAGED = ("faded_a", "faded_b", "faded_h", "scratched_a", "scratched_b", "scratched_d")
_SCENES = (
    "buffalo_bank_1908", "detroit_1915", "locomotive_1930s", "new_york_riverfront_1931", "sailing_ship_1900s",
    "saratoga_broadway_1900s", "steamer_1900s", "tetons_snake_river_1942_3000px", "prokudin_plate_01043v",
)  # fmt: skip
_BLURS = ((1.0, 1), (1.6, 1), (1.6, 4), (2.5, 1), (2.5, 4))
"""Blur in pixels, and white noise in levels of 255."""
_PEERS = {
    "unsharp": ("unsharp", "5:5:1.0"),
    "cas": ("cas", "0.8"),
}
_TONE_PX = 15
_MARGIN = 0.4


def measure(media: Path) -> Chapter:
    """Measure whether faces are found, and what becomes of blurred and of sharp ones."""
    portraits = [read_photo(media / "photos_bw" / f"{name}.jpg") for name in _PORTRAITS]
    damaged = [read_photo(media / "photos_damaged" / f"{name}.png") for name in _DAMAGED]
    scenes = [read_photo(media / "photos_bw" / f"{name}.jpg") for name in _SCENES]
    figures = [
        *_found_figures([*portraits, *damaged], scenes),
        *(figure for blur in _BLURS for figure in _blur_figures(portraits, *blur)),
        *_control_figures(portraits, scenes),
    ]
    text = """A face is looked for in the seven portraits of `photos_bw` and six of `photos_damaged` that have one of at
least 40 pixels (the woman in `faded_e` is turned away, and her face has 25), and in nine scenes without any. The seven
were blurred (Gaussian, so many pixels) and given white noise (in levels of 255). The gain is that in PSNR against the
sharp portrait within what the stage changed, without a network, at its default strength of a half and at 1; the bar is
that no face gets worse. *Tone* is the most by which the luma, blurred over 15 pixels, moves anywhere. Other tools
sharpen the whole picture; they are measured in the same places.

What still fails: the stage takes blur back and raises features, and invents nothing. An eye that is not there does not
come back, a blur of more than 2.5 pixels is taken back in part, and a small face under a wide blur stays as it is: the
change can hardly be seen at the default strength. Under a slight blur a plain sharpening filter gains more, since half
of the change is kept and sharp faces are to be left alone; it loses under noise. Grainy faces gain little. Faces in
profile, turned away, or of fewer than 40 pixels are not found or not touched."""
    return Chapter("`face`", text, figures, (_sheet([*damaged, *portraits]), _blur_sheet(portraits)))


def soften(picture: Planes, sigma_px: float, noise_levels: float, number: int) -> Planes:
    """Return the picture blurred and with white noise, the same for all channels."""
    rng = np.random.default_rng(number)
    noise = rng.normal(0, noise_levels / 255, picture.shape[1:]).astype(np.float32)
    return np.stack([cv2.GaussianBlur(plane, (0, 0), sigma_px) for plane in picture]) + noise


# -- figures


def _found_figures(portraits: Sequence[Planes], scenes: Sequence[Planes]) -> Iterator[Figure]:
    found = sum(bool(find_faces(picture)) for picture in portraits)
    false = sum(len(find_faces(picture)) for picture in scenes)
    count = len(portraits)
    yield Figure("portraits in which a face is found", "", f"{found} of {count}", f"{count}", found == count)
    yield Figure(f"faces found in {len(scenes)} scenes without any", "", f"{false}", "0", false == 0)


def _blur_figures(portraits: Sequence[Planes], sigma_px: float, noise_levels: int) -> Iterator[Figure]:
    gains, whole, tones, changed = [], [], [], 0
    others: dict[str, list[float]] = {name: [] for name in _PEERS if has_filter(name)}
    for number, truth in enumerate(portraits):
        soft = soften(truth, sigma_px, noise_levels, number)
        clear, mask = restore_still(soft, "[face]")
        changed += bool(mask.any())
        if not mask.any():
            continue
        before = psnr_db(soft, truth, mask)
        gains.append(psnr_db(clear, truth, mask) - before)
        whole.append(psnr_db(soft + 2 * (clear - soft), truth, mask) - before)
        tones.append(_tone_change(clear, soft))
        for name, values in others.items():
            sharpened = run_filter(planes.luma(soft)[None, None], *_PEERS[name])[0]
            gray_before = psnr_db(planes.luma(soft)[None], planes.luma(truth)[None], mask)
            values.append(psnr_db(sharpened, planes.luma(truth)[None], mask) - gray_before)
    what = f"blur {sigma_px}, noise {noise_levels}"
    if not gains:
        yield Figure(f"{what}: portraits changed", "", f"0 of {len(portraits)}")
        return
    peers = ", ".join(f"{name} {np.mean(values):+.2f}" for name, values in others.items())
    ours, bar, met = at_least(min(gains), 0.0)
    means = f"{np.mean(gains):+.2f} (strength 1: {np.mean(whole):+.2f})"
    yield Figure(f"{what}: mean gain inside, dB; {changed} of {len(portraits)} changed", "", means, others=peers)
    yield Figure(f"{what}: least gain, dB", "", ours, bar, met)
    yield Figure(f"{what}: tone", "", f"{max(tones):.3f}")


def _tone_change(clear: Planes, soft: Planes) -> float:
    change = planes.luma(clear) - planes.luma(soft)
    return float(np.abs(cv2.GaussianBlur(change, (0, 0), _TONE_PX)).max())


def _control_figures(portraits: Sequence[Planes], scenes: Sequence[Planes]) -> Iterator[Figure]:
    results = [restore_still(picture, "[face]") for picture in portraits]
    same = sum(not mask.any() for _, mask in results)
    moved = [psnr_db(clear, picture, mask) for picture, (clear, mask) in zip(portraits, results, strict=True)
             if mask.any()]  # fmt: skip
    least = f"; the others keep {min(moved):.1f} dB or more" if moved else ""
    yield Figure("portraits as they are: untouched", "", f"{same} of {len(portraits)}{least}")
    soft = [soften(picture, 1.6, 1, number) for number, picture in enumerate(portraits)]
    outside = 0
    for picture in soft:
        clear, mask = restore_still(picture, "[face]")
        outside += int((clear != picture)[:, ~mask].sum())
    yield Figure("samples changed outside the mask", "", f"{outside}", "0", outside == 0)
    kept = sum(np.array_equal(restore_still(picture, "[face]")[0], picture) for picture in scenes)
    yield Figure("scenes that stay as they are", "", f"{kept} of {len(scenes)}", f"{len(scenes)}", kept == len(scenes))


# -- sheets


def _sheet(pictures: Sequence[Planes]) -> Sheet:
    """Return the largest face of each picture before, after, and at full strength."""
    groups = []
    for picture in pictures:
        face = max(find_faces(picture), key=lambda each: each.side_px, default=None)
        if face is not None:
            after = restore_still(picture, "[face]")[0]
            whole = restore_still(picture, "[face: {strength: 1}]")[0]
            groups.append([_cut(each, face) for each in (picture, after, whole)])
    return Sheet("face", draw_page(groups, 280))


def _blur_sheet(portraits: Sequence[Planes]) -> Sheet:
    groups = []
    for number, picture in enumerate(portraits):
        face = max(find_faces(picture), key=lambda each: each.side_px)
        soft = soften(picture, 2.5, 1, number)
        groups.append([_cut(each, face) for each in (soft, restore_still(soft, "[face]")[0], picture)])
    return Sheet("face_blurred", draw_page(groups, 280))


def _cut(picture: Planes, face: Face) -> Planes:
    margin = _MARGIN * face.side_px
    rows = slice(max(0, int(face.top - margin)), int(face.top + face.height + margin))
    return picture[:, rows, max(0, int(face.left - margin)) : int(face.left + face.width + margin)]
