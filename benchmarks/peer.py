"""What makes the same two films without us, ``ffmpeg`` or a plain script, and what the codecs alone cost.

Either checks, scores and remembers nothing. A process that runs the script with one thread a codec does nothing but
decode and encode: two of them beside one say how much faster two cores are than one, whatever runs on them.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from subprocess import PIPE
from typing import Any

import av
from av.codec.context import ThreadType
from av.container import InputContainer

from benchmarks.house import FACTS
from db.recipe import ACCESS_CRF, ACCESS_PRESET
from workers.media import planes
from workers.media.film import ffv1
from workers.media.pixels import Layout

MASTER = {"level": "3", "slicecrc": "1", "slices": "16"}
ACCESS = {"crf": str(ACCESS_CRF), "preset": ACCESS_PRESET}
SCRIPT = ("decode", "plain master", "access")
"""Codecs of the script; its master is what FFmpeg writes unasked, and not the house's to the bit."""

Spend = Callable[..., Any]


@dataclass(frozen=True)
class CodecCosts:
    """What codecs with one thread each cost, in processes side by side."""

    wall: float
    """Seconds of the script, from the first one's beginning to the last one's end."""
    cpu_ms: dict[str, float]
    """A frame, of each codec of the script and, where they are wanted, ``master`` and ``read back`` as in the house."""


def time_peer(film: Path, folder: Path) -> tuple[str, float]:
    """Return what makes the same films without us, ``ffmpeg`` or a script, and the seconds that it takes."""
    program = shutil.which("ffmpeg")
    started = time.perf_counter()
    if program:
        _run_ffmpeg(program, film, folder)
    else:
        run_script(film, folder, threads=2)
    return "ffmpeg" if program else "a script", time.perf_counter() - started


def _run_ffmpeg(program: str, film: Path, folder: Path) -> None:
    options = {"c:v": "ffv1", "g": "1", "threads": "2"} | MASTER, {"c:v": "libx264", "threads": "2"} | ACCESS
    master, access = ([part for name, value in each.items() for part in (f"-{name}", value)] for each in options)
    command = [program, "-v", "error", "-nostdin", "-y", "-threads", "2", "-i", str(film)]
    command += [*master, str(folder / "ffmpeg.mkv"), *access, "-pix_fmt", "yuv420p", str(folder / "ffmpeg.mp4")]
    subprocess.run(command, check=True)


def run_script(film: Path, folder: Path, threads: int, frames: int | None = None) -> dict[str, float]:
    """Decode a film, or its first frames, once and encode both films; each codec has so many threads.

    Returns:
        CPU seconds of each codec, where it has one thread: others work on while the next one is at it.
    """
    spent = defaultdict[str, float](float)
    spend = _meter(spent)
    with (
        av.open(str(film)) as source,
        av.open(str(folder / "script.mkv"), "w") as master,
        av.open(str(folder / "script.mp4"), "w") as access,
    ):
        picture = source.streams.video[0]
        picture.thread_count = threads
        coded = master.add_stream("ffv1", rate=Fraction(24), options=MASTER)
        shown = access.add_stream("libx264", rate=Fraction(24), options=ACCESS)
        for stream, pixel_format in ((coded, picture.pix_fmt), (shown, "yuv420p")):
            stream.height, stream.width, stream.pix_fmt = picture.height, picture.width, pixel_format
            stream.codec_context.thread_count = threads
        coded.codec_context.gop_size, coded.codec_context.thread_type = 1, ThreadType.SLICE

        def show(frame: av.VideoFrame | None) -> list[Any]:
            return shown.encode(frame and frame.reformat(format="yuv420p"))

        for frame in _decode(source, frames, "decode", spend):
            frame.pict_type = av.video.frame.PictureType.NONE
            master.mux(spend("plain master", coded.encode, frame))
            access.mux(spend("access", show, frame))
        master.mux(spend("plain master", coded.encode, None))
        access.mux(spend("access", show, None))
    return spent


def run_codecs(film: Path, folder: Path, frames: int, processes: int, *, wants_house: bool = False) -> CodecCosts:
    """Run the script over a film's first frames in each of some processes, which begin together."""
    command = [sys.executable, "-m", "benchmarks.peer", str(film)]
    children = []
    for number in range(processes):
        own = folder / f"codecs-{number}"
        own.mkdir(exist_ok=True)
        arguments = [str(own), str(frames), *(["house"] if wants_house else [])]
        children.append(subprocess.Popen([*command, *arguments], stdin=PIPE, stdout=PIPE, text=True))
    for child in children:
        assert child.stdout
        child.stdout.readline()  # it has loaded what it needs
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    answers = [json.loads(child.communicate()[0]) for child in children]
    wall = max(answer["ended"] for answer in answers) - min(answer["began"] for answer in answers)
    cpu = {codec: statistics.mean(answer["cpu"][codec] for answer in answers) for codec in answers[0]["cpu"]}
    return CodecCosts(wall, {codec: 1000 * seconds / frames for codec, seconds in cpu.items()})


# -- in a process of its own


def measure(film: Path, folder: Path, frames: int, wants_house: bool) -> dict[str, Any]:
    began = time.time()
    cpu = run_script(film, folder, 1, frames)
    ended = time.time()
    return {
        "began": began,
        "ended": ended,
        "cpu": cpu | (keep_as_the_house(film, folder, frames) if wants_house else {}),
    }


def keep_as_the_house(film: Path, folder: Path, frames: int) -> dict[str, float]:
    """Encode a master with the house's writer and read it back; CPU seconds of either."""
    path, (layout, size) = folder / "master.mkv", layout_of(film)
    spent = defaultdict[str, float](float)
    spend = _meter(spent)
    with av.open(str(film)) as source, ffv1.open_writer(path, layout, size, Fraction(24), FACTS) as write:
        source.streams.video[0].thread_count = 1  # what others do meanwhile counts for whoever is at work
        for frame in islice(source.decode(video=0), frames):
            spend("master", write, planes.to_planes(frame, layout))
    with av.open(str(path)) as master:
        master.streams.video[0].thread_count = 1
        deque(_decode(master, frames, "read back", spend), maxlen=0)
    return spent


def layout_of(film: Path) -> tuple[Layout, tuple[int, int]]:
    """Return the layout of a film's frames, and their height and width."""
    with av.open(str(film)) as source:
        coder = source.streams.video[0].codec_context
        height, pixel_format = coder.height, coder.pix_fmt or ""
        layout = planes.layout_of(pixel_format, full_range=pixel_format == "gray", matrix="unknown", lines=height)
        return layout, (height, coder.width)


def _meter(spent: dict[str, float]) -> Spend:
    """Return what calls a function and adds the CPU seconds that it takes to those of a codec."""

    def spend(codec: str, work: Callable[..., Any], *arguments: Any) -> Any:
        began = time.process_time()
        result = work(*arguments)
        spent[codec] += time.process_time() - began
        return result

    return spend


def _decode(source: InputContainer, frames: int | None, codec: str, spend: Spend) -> Iterator[Any]:
    decoded = source.decode(video=0)
    return islice(iter(lambda: spend(codec, next, decoded, None), None), frames)


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), len(sys.argv) > 4)))
