"""Contact sheets: the same pictures through several recipes, side by side. ``python -m workers compare`` makes them."""

from __future__ import annotations

import base64
import html
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from db.errors import InputError
from db.home_placer import open_settings_placer
from db.recipe import Recipe
from db.records import Record
from db.settings import Settings
from db.store import open_store
from workers import device as devices
from workers import stages
from workers.frames import Clip
from workers.media.pixels import has_color
from workers.media.sample_frames import Sample, sample_frames
from workers.tasks import repair_masks
from workers.workbench import Workbench

_GAP_PX, _LABEL_PX = 8, 28
_PAPER, _INK = 255, 32
_MAX_WIDTH_PX = 20_000
_AROUND = 8
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>
body{{font:15px/1.4 system-ui,sans-serif;margin:1.5rem;color:#222;background:#fff}}
table{{border-collapse:collapse}}th,td{{padding:.3rem;text-align:left;vertical-align:top;font-weight:normal}}
thead th{{position:sticky;top:0;background:#fff;font-weight:600}}img{{display:block;height:{height}px}}
small{{color:#666}}</style><h1>{title}</h1><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></html>
"""

Bytes = NDArray[np.uint8]


class Column(Record):
    """One recipe to compare."""

    title: str
    recipe: Recipe


class SheetOrder(Record):
    """What is to be put on a sheet."""

    sources: tuple[str, ...]
    columns: tuple[Column, ...]
    out: str
    """The PNG; the page gets its name with ``.html``."""
    frames: int = 3
    """Frames taken of each film."""
    height_px: int = 320


@dataclass(frozen=True)
class _SheetRow:
    """One picture and what the recipes made of it."""

    label: str
    pictures: list[Bytes]
    """RGB ``(height, width, 3)``: the input first."""
    seconds: list[float]


def make_sheet(order: SheetOrder, settings: Settings) -> dict[str, Any]:
    """Make the sheet as PNG and as a page that needs no other file.

    Returns:
        ``png`` and ``html``, their paths; ``rows``, how many pictures; ``notes`` on sources that could not be read.

    Raises:
        InputError: None of the sources can be read, the sheet would be too wide, or something stands in its place that
            is a source or not known as ours.
    """
    out = Path(order.out)
    if out.suffix.lower() != ".png":
        raise InputError(f"{out}: the sheet is a PNG", remedy="Give --out a name that ends in .png.")
    page = out.with_suffix(".html")
    with open_settings_placer(settings, order.sources) as placer:
        for path in (out, page):
            placer.check(str(path))
        rows, notes = _sheet_rows(order, settings)
        titles = list(_titles(order.columns))
        png = _png_data(_draw_sheet(rows, titles))
        placer.write(str(out), png)
        placer.write(str(page), _html_page(rows, titles, order.height_px).encode())
    return {"png": str(out), "html": str(page), "rows": len(rows), "notes": notes}


def _sheet_rows(order: SheetOrder, settings: Settings) -> tuple[list[_SheetRow], list[str]]:
    """Return the rows, and notes on sources that could not be read."""
    device = devices.open_device(settings.device)
    devices.make_deterministic(device)
    rows: list[_SheetRow] = []
    notes: list[str] = []
    with TemporaryDirectory(prefix="reelwright-compare-") as scratch:
        bench = Workbench(open_store(settings), Path(scratch), settings, "compare", device)
        for source in order.sources:
            try:
                rows += [_sheet_row(label, sample, order, bench) for label, sample in _samples(source, order, settings)]
            except InputError as error:
                if error.code in {"MODEL_MISSING", "BLOB_MISSING", "BAD_PARAMETER"}:
                    raise
                notes.append(f"{error.code}: {error.message}")
    if not rows:
        raise InputError("; ".join(notes) or "There is nothing to compare", code="FILE_MISSING")
    return rows, notes


def _samples(source: str, order: SheetOrder, settings: Settings) -> Iterator[tuple[str, Sample]]:
    path, around = Path(source), max(_reach(column.recipe) for column in order.columns)
    for sample in sample_frames(path, order.frames, settings, around):
        yield path.name if sample.number is None else f"{path.name} · frame {sample.number}", sample


def _reach(recipe: Recipe) -> int:
    """Return how many frames around one its steps want to see; those that know of the whole reel make do with a few."""
    windows = sum(step.temporal_radius for step in recipe.steps)
    return windows + _AROUND if recipe.reel_needs else 0


def _sheet_row(label: str, sample: Sample, order: SheetOrder, bench: Workbench) -> _SheetRow:
    frames = torch.from_numpy(np.stack(sample.pictures)).to(bench.device)
    pictures, seconds = [_thumbnail(frames[sample.place], order.height_px)], []
    for column in order.columns:
        output, mask, duration = _run_recipe(frames, sample.place, column.recipe, bench)
        pictures.append(_thumbnail(output, order.height_px))
        seconds.append(duration)
        if _repairs(column.recipe):
            pictures.append(_thumbnail(_painted(frames[sample.place], mask), order.height_px))
            seconds.append(0.0)
    return _SheetRow(label, pictures, seconds)


def _titles(columns: Sequence[Column]) -> Iterator[str]:
    yield "input"
    for column in columns:
        yield column.title
        if _repairs(column.recipe):
            yield f"{column.title}: repaired"


def _repairs(recipe: Recipe) -> bool:
    return bool(repair_masks.output_names(recipe))


def _run_recipe(
    frames: torch.Tensor, place: int, recipe: Recipe, bench: Workbench
) -> tuple[torch.Tensor, torch.Tensor | None, float]:
    """Return one of the frames restored, as if they were the whole reel; what was repaired; and seconds."""
    count, duration = len(frames), 0.0
    clip, mask = Clip(frames, 0, tuple(range(count))), None
    is_colored = has_color(frames[place].cpu().numpy())
    context = stages.context_of(clip, recipe.steps, already_colored=is_colored)
    spans = stages.step_spans(recipe.steps, (place, place + 1), count)
    for step, (start, stop) in zip(recipe.steps, spans[1:], strict=True):
        stages.prepare(step, bench)  # loading a network is not what it costs a picture
        began = time.perf_counter()
        restored, repaired = stages.repair(step, clip, start, stop, context, bench)
        duration += time.perf_counter() - began
        clip = clip.part(start, stop).with_frames(restored)
        if repaired is not None:
            own = repaired[place - start, 0]
            mask = own if mask is None or mask.shape != own.shape else mask | own
    return clip.frame(place), mask, duration


def _painted(frame: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return a frame ``(3, H, W)``, darker, with what was repaired in red; a mask of another size is brought to it."""
    picture = frame.expand(3, -1, -1) * 0.6
    if mask is None:
        return picture
    shown = functional.interpolate(mask[None, None].float(), size=frame.shape[-2:], mode="nearest")[0, 0] > 0
    red = torch.tensor([1.0, 0.15, 0.1], device=frame.device).view(3, 1, 1)
    return torch.where(shown, red, picture)


def _thumbnail(frame: torch.Tensor, height: int) -> Bytes:
    picture = frame.expand(3, -1, -1).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    size = (max(1, round(picture.shape[1] * height / picture.shape[0])), height)
    method = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_CUBIC
    return np.rint(np.clip(cv2.resize(picture, size, interpolation=method), 0, 1) * 255).astype(np.uint8)


# -- drawing


def _draw_sheet(rows: Sequence[_SheetRow], titles: Sequence[str]) -> Bytes:
    """Draw all rows below one another, cells of a column flush left."""
    widths = [max(row.pictures[place].shape[1] for row in rows) for place in range(len(titles))]
    wide = sum(widths) + _GAP_PX * (len(widths) + 1)
    if wide > _MAX_WIDTH_PX:
        raise InputError(
            f"The sheet would be {wide} pixels wide",
            code="TOO_LARGE",
            remedy="Take fewer models or a smaller --height.",
        )
    strips = [_draw_labels(titles, widths, wide)]
    for row in rows:
        strips += [_draw_labels([row.label], [wide], wide), _draw_cells(row, widths, wide)]
    return np.concatenate([*strips, np.full((_GAP_PX, wide, 3), _PAPER, np.uint8)])


def _draw_cells(row: _SheetRow, widths: Sequence[int], wide: int) -> Bytes:
    strip, left = np.full((row.pictures[0].shape[0], wide, 3), _PAPER, np.uint8), _GAP_PX
    for picture, width in zip(row.pictures, widths, strict=True):
        strip[:, left : left + picture.shape[1]] = picture
        left += width + _GAP_PX
    return strip


def _draw_labels(texts: Sequence[str], widths: Sequence[int], wide: int) -> Bytes:
    strip, left = np.full((_LABEL_PX, wide, 3), _PAPER, np.uint8), _GAP_PX
    for text, width in zip(texts, widths, strict=True):
        # OpenCV's letters are ASCII; the page beside the sheet has the whole name.
        plain = text.replace("·", "-").encode("ascii", "replace").decode()
        letters = max(1, (width - 2) // 9)
        cv2.putText(
            strip, plain[:letters], (left, _LABEL_PX - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (_INK,) * 3, 1, cv2.LINE_AA
        )
        left += width + _GAP_PX
    return strip


def _png_data(picture: Bytes) -> bytes:
    success, data = cv2.imencode(".png", picture[..., ::-1])
    if not success:
        raise InputError("The sheet cannot be made a PNG", code="STORE_FAILED")
    return data.tobytes()


def _html_page(rows: Sequence[_SheetRow], titles: Sequence[str], height: int) -> str:
    title = html.escape(f"Side by side: {', '.join(titles[1:])}")
    head = "".join(f"<th>{html.escape(name)}</th>" for name in titles)
    return _PAGE.format(title=title, head=head, height=height, rows="".join(map(_html_row, rows)))


def _html_row(row: _SheetRow) -> str:
    captions = [html.escape(row.label), *(f"{duration:.2f} s" if duration else "" for duration in row.seconds)]
    cells = (
        f'<td><img alt="{html.escape(row.label)}" src="{_data_url(picture)}"><small>{caption}</small></td>'
        for picture, caption in zip(row.pictures, captions, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _data_url(picture: Bytes) -> str:
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
