"""Small files of the kinds on which archives' files fell short, through the command: each has its expected outcome.

They lie in a shared folder beside the checkout; without it these tests are passed over. The rows are kept by kind.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FIELD = (Path(__file__).parents[3] / "shared" / "media" / "field").resolve()
DAMAGED = {"params": {"accept_damaged": True}}

pytestmark = [
    pytest.mark.shared,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not FIELD.is_dir(), reason="no shared media beside the checkout"),
]


@dataclass(frozen=True)
class FieldFile:
    """A file, what its line in the manifest says beside it, and what becomes of it."""

    name: str
    code: str = ""
    """That of the failure; empty where the item is done."""
    says: str = ""
    """In the failure's message, or in one of the notes; empty where there is to be no note."""
    fields: dict[str, Any] = field(default_factory=dict)
    recipe: str = "identity"


STILLS = [
    FieldFile("cmyk16.tif", says="plain inversion"),
    FieldFile("palette_alpha.tif", "UNSUPPORTED_PIXELS", "a palette and 1 samples beside it"),
    FieldFile("lossless_jpeg16_in_tiff.tif", "UNSUPPORTED_PIXELS", "lossless JPEG of 16 bits"),
    FieldFile("dpx_y10_unpadded_scanity.dpx"),
    FieldFile("dpx_y10_padded_control.dpx"),
    FieldFile("animated.webp", says="4 more pages of the file were left out."),
    FieldFile("stereo_pair.mpo"),  # copied whole: nothing is left out
    FieldFile("lzma.tif"),
    FieldFile("jpeg_12bit.jpg", "UNSUPPORTED_PIXELS", "JPEG of 12 bits"),
    FieldFile("jpeg_bitrot.jpg", "CORRUPT", "premature end of data segment, noticed in row 128"),
    FieldFile("jpeg_bitrot.jpg", says="CORRUPT: the file is damaged", fields=DAMAGED),
]

FILMS = [
    FieldFile("mov_8_channels.mov"),
    FieldFile("vob_clock_restarts.vob", says="The film's clock starts again at frame 25"),
    FieldFile(
        "wmv_with_wma.wmv", says="Matroska does not take the sound (wmav2); it lies beside the master, unchanged."
    ),
    FieldFile("ffv1_gbrap16le.mkv"),  # its alpha hides nothing
    FieldFile("hdv_capture.m2t"),
    FieldFile("vc2_dirac.mkv"),
    FieldFile("line_doubled.mp4"),
]


@pytest.mark.parametrize("case", [*STILLS, *FILMS], ids=lambda case: f"{case.name}{'-fields' if case.fields else ''}")
def test_a_file_from_the_field_has_its_outcome(tmp_path: Path, case: FieldFile) -> None:
    line = {"id": "it", "uri": str(FIELD / case.name), **case.fields}
    (tmp_path / "m.jsonl").write_text(json.dumps(line))
    words = ["run", str(tmp_path / "m.jsonl"), "--recipe", case.recipe, "--source-root", str(FIELD)]
    done = _command(tmp_path, *words)
    assert done.returncode != 70, done.stderr
    with (tmp_path / "home" / "results" / "job-1" / "report.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["error_code"] == case.code
    said = row["result_message"] if case.code else row["x_notes"]
    assert case.says in said if case.says else not said


def _command(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "reelwright", "--home", str(home / "home"), "--json", *words]
    return subprocess.run(
        line, capture_output=True, text=True, env=os.environ | {"REELWRIGHT_DEVICE": "cpu"}, check=False
    )


@dataclass(frozen=True)
class FieldFolder:
    """A packed folder, what it holds as ``plan`` sees it, and what the notes say."""

    name: str
    stills: int
    reels: int
    says: str = ""
    options: tuple[str, ...] = ()


FOLDERS = [
    FieldFolder("folder_numbered_photo_scans.tar", 8, 0, "neighbours are not alike"),
    FieldFolder("folder_numbered_photo_scans.tar", 0, 1, "", ("--numbered", "reel")),
    FieldFolder("folder_sequence_one_name_short.tar", 1, 1, "but for zeros before the number: r8.png"),
    FieldFolder("folder_sequence_number_in_the_middle.tar", 0, 1, "neighbours are alike"),
    FieldFolder("folder_nine_unknown_suffixes.tar", 1, 9),
]


@pytest.mark.parametrize("case", FOLDERS, ids=lambda case: case.name + "".join(case.options))
def test_a_folder_from_the_field_has_its_items(tmp_path: Path, case: FieldFolder) -> None:
    with tarfile.open(FIELD / case.name) as packed:
        packed.extractall(tmp_path / "in", filter="data")
    (folder,) = (tmp_path / "in").iterdir()
    done = _command(tmp_path, "plan", str(folder), "--no-probe", *case.options)
    plan = json.loads(done.stdout)
    assert (plan["stills"], plan["reels"], plan["problem_count"]) == (case.stills, case.reels, 0)
    assert case.says in " ".join(plan["notes"]) if case.says else plan["notes"] == []


def test_a_manifest_from_the_field_is_read(tmp_path: Path) -> None:
    done = _command(tmp_path, "plan", str(FIELD / "manifest_trailing_commas.csv"), "--no-probe", "--no-check-files")
    plan = json.loads(done.stdout)
    assert (plan["lines"], plan["good_lines"], plan["problem_count"]) == (1, 1, 0)
