"""Measure restoration and write the page: ``python -m benchmarks.restoration MEDIA [--only NAME …] [--sheets DIR]``."""

from __future__ import annotations

import argparse
import datetime
import importlib
import sys
from pathlib import Path

import cv2

from benchmarks.restoration.page import write_chapter

CHAPTERS = (
    "film_pair", "dirt", "scratch", "denoise", "stabilize", "cuts", "missing_frames", "deblur", "regrain", "fading",
    "inpaint", "face", "color", "costs",
)  # fmt: skip
PAGE = Path(__file__).parents[2] / "docs" / "restoration.md"
_HEAD = """# Restoration, measured

How well the stages restore, on films and photographs whose truth is known, beside what must be reached and what other
tools reach that install with `pip` (FFmpeg's filters through PyAV, OpenCV's operators). `python -m
benchmarks.restoration MEDIA` wrote this page on {date}; MEDIA holds the films and photographs that the chapters name,
and none of it is needed to use Reelwright.

Bars are what a prototype of the same idea reached, or what a restorer would ask for. *No* stands where a bar is missed,
with the reason in the chapter's text.

"""


def main() -> None:
    """Measure the chapters and write the page; with ``--only`` print those chapters instead."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restoration", description=__doc__)
    parser.add_argument("media", type=Path)
    parser.add_argument("--only", nargs="*", default=(), choices=CHAPTERS)
    parser.add_argument("--sheets", type=Path, default=None, help="Folder for pictures to look at.")
    options = parser.parse_args()
    lines: list[str] = []
    for name in options.only or CHAPTERS:
        print(f"… {name}", file=sys.stderr, flush=True)
        chapter = importlib.import_module(f"benchmarks.restoration.{name}").measure(options.media)
        lines += write_chapter(chapter)
        for sheet in chapter.sheets if options.sheets else ():
            options.sheets.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(options.sheets / f"{sheet.name}.png"), sheet.picture[..., ::-1])
    if options.only:
        print("\n".join(lines))
    else:
        PAGE.write_text(_HEAD.format(date=datetime.date.today()) + "\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
