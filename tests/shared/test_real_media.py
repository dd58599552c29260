"""Real photos, films and oddities of archives through the installed command: each has its expected outcome.

They lie in a shared folder beside the checkout; without it these tests are passed over.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

MEDIA = Path(__file__).parents[3] / "shared" / "media"
REELWRIGHT = str(Path(sys.executable).parent / "reelwright")
FRAMES = 24

pytestmark = [
    pytest.mark.shared,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not MEDIA.is_dir(), reason="no shared media beside the checkout"),
]

REFUSED = {
    "quicktime/xdcam-hd-1080i50.mov": "INTERLACED",
    "seq_gaps/frame_0001-0009.png": "SEQUENCE_GAP",
    "video/dv_ntsc_bff.avi": "INTERLACED",
    "video/mpeg2_pal_interlaced_tff.mpg": "INTERLACED",
    "video/telecine_32_2997i.mkv": "INTERLACED",
}
NOTED = {
    "images/cmyk.jpg": "CMYK",
    "images/cmyk.tif": "CMYK",
    "video/rotated_90_display_matrix.mp4": "turned by 90 degrees",
}
ODD_FRAMES = {
    "dpx_10bit/reel1_0086400-0086405.dpx": 6,
    "quicktime/png.mov": 25,
    "video/ffv1_422p10_flac.mkv": 12,
    "video/h264_start_offset_editlist.mp4": 58,
    "video/jpeg2000_op1a.mxf": 5,
    "video/silent_16fps_gray_ffv1.mkv": 16,
    "video/vfr.mp4": 59,
}


def run(home: Path, *words: object, code: int = 0) -> Any:
    """Run a command with ``--json``; returns its document."""
    line = [REELWRIGHT, "--home", str(home), "--json", *map(str, words)]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, env=os.environ | {"REELWRIGHT_DEVICE": "cpu"})
    assert done.returncode == code, done.stdout
    return json.loads(done.stdout if done.stdout.startswith(("[", "{\n")) else done.stdout.splitlines()[-1])


def items(home: Path) -> dict[str, dict[str, Any]]:
    return {item["external_id"]: item for item in run(home, "status", 1, "--limit", 1000)["items"]}


def decoded(path: Path) -> list[tuple[int, int]]:
    """Size of every frame of a film, by PyAV alone."""
    with av.open(str(path)) as film:
        return [(frame.width, frame.height) for frame in film.decode(video=0)]


def cut(source: Path, target: Path) -> Path:
    """Copy the packets of a film's first frames, without decoding them."""
    with av.open(str(source)) as film, av.open(str(target), "w") as out:
        track = film.streams.video[0]
        copied = out.add_stream_from_template(track)
        for count, packet in enumerate(film.demux(track)):
            if count == FRAMES or packet.dts is None:
                break
            packet.stream = copied
            out.mux(packet)
    return target


def test_every_black_and_white_photo_is_restored(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(tmp_path / "home", "run", MEDIA / "photos_bw", "--recipe", "old-photo", "--out", out)
    sources = sorted((MEDIA / "photos_bw").iterdir())
    assert done["report"]["failed_by_code"] == {}
    assert 20 < done["report"]["mean_scores"]["luma_psnr"] < 40
    for source in sources:
        with Image.open(source) as before, Image.open(out / f"{source.stem}_AIcolor{source.suffix}") as after:
            assert (after.size, after.mode, after.format) == (before.size, "RGB", before.format)
            lights = (np.asarray(picture.convert("L"), np.float32) for picture in (before, after))
            changed = np.abs(next(lights) - next(lights)).mean()
        assert 0.2 < changed < 40, source.name


def test_old_films_and_sequences_are_restored(tmp_path: Path) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    archive.mkdir()
    films = {path.stem: cut(path, archive / f"{path.stem}.mkv") for path in (MEDIA / "film_old").glob("*.mp4")}
    for name in ("seq_chinese_579x340", "seq_silent_640x480"):
        (archive / name).symlink_to(MEDIA / "film_old" / name)
    sequences = {
        "seq_chinese_579x340": {"prefix": "", "suffix": ".png", "start": 100, "end": 122, "step": 2},
        "seq_silent_640x480": {"prefix": "", "suffix": ".png", "start": 1100, "end": 1115},
    }
    lines = [{"id": name, "uri": path.name} for name, path in films.items()]
    lines += [{"id": name, "uri": name, "fps": 16, "sequence": part} for name, part in sequences.items()]
    (archive / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = ("run", archive / "m.jsonl", "--recipe", "silent-film", "--out", out, "--source-root", MEDIA)
    assert run(tmp_path / "home", *words)["report"]["failed_by_code"] == {}
    for name, source in films.items():
        assert decoded(out / f"{name}.mkv") == decoded(source)
    assert decoded(out / "seq_chinese_579x340.mkv") == [(579, 340)] * 12
    assert decoded(out / "seq_silent_640x480.mkv") == [(640, 480)] * 16


def test_odd_media_end_as_expected_each(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(home, "run", MEDIA / "odd", "--recipe", "identity", code=1)
    found = items(home)
    assert len(found) == 47
    assert {name: item["code"] for name, item in found.items() if item["state"] != "done"} == REFUSED
    assert {name: found[name]["frames_done"] for name in ODD_FRAMES} == ODD_FRAMES
    report = (home / "results" / "job-1" / "report.csv").read_text()
    for name, note in NOTED.items():
        (line,) = (line for line in report.splitlines() if line.startswith(f"{name},"))
        assert note in line
    failures = run(home, "failures", 1)
    assert all(row["message"] and row["remedy"] for row in failures)
    gap = next(row for row in failures if row["code"] == "SEQUENCE_GAP")
    assert gap["message"].endswith("lacks the frames 3, 6-8")
