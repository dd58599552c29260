"""A scan as an archive has it, through the installed command: numbers, header and light come out as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.journeys.test_command_line import Person
from tests.journeys.test_command_line import person as person
from tests.support import sequences
from tests.workers.media.stills.test_dpx import made as dpx_made
from workers.media.stills import dpx

MANIFEST = """
recipe: []
outputs: [master, sequence]
items:
- {id: reel 12, uri: scan, kind: sequence, missing: hold, fps: 18,
   sequence: {prefix: f_, suffix: .dpx, padding: 4, start: 98, end: 117}}
- {id: step, uri: scan, kind: sequence, missing: black, span: 2-9, outputs: [sequence],
   recipe: [{denoise: {method: spatial, strength: 0.2}}],
   sequence: {prefix: f_, suffix: .dpx, padding: 4, start: 98, end: 117}}
- {id: guess, uri: scan, kind: sequence, missing: interpolate, span: 1-19,
   sequence: {prefix: f_, suffix: .dpx, padding: 4, start: 98, end: 117}}
- {id: dream, uri: scan, kind: sequence, missing: dream,
   sequence: {prefix: f_, suffix: .dpx, padding: 4, start: 98, end: 117}}
"""


def test_a_log_scan_with_holes_comes_out_as_one(person: Person, tmp_path: Path) -> None:
    scan = tmp_path / "archive" / "scan"
    scan.mkdir(parents=True)
    for number in sorted({*range(98, 118)} - {103, 110, 111}):
        fields = {"transfer": 1, "film_rate": 16.0, "creator": b"scanner 7", "timecode": 0x01000000 + number % 10}
        dpx_made(scan / f"f_{number:04d}.dpx", ">", sequences.samples(number, 3, 10), **fields)
    (tmp_path / "archive" / "m.yaml").write_text(MANIFEST)
    out = tmp_path / "out"
    person.variables["REELWRIGHT_SEGMENT_FRAMES"] = "8"
    done = person.ask("run", tmp_path / "archive" / "m.yaml", "--out", out, code=1)
    assert "BAD_VALUE" in str(done) or "BAD_VALUE" in person.run("failures", 1)
    names = [f"f_{number:04d}.dpx" for number in range(98, 118)]
    assert sorted(path.name for path in (out / "reel 12").iterdir()) == names
    for name in names:
        head, samples = dpx.read(out / "reel 12" / name)
        assert (head.text("creator"), head.transfer, head.rates[0]) == ("scanner 7", "log", 18)
        if (scan / name).exists():
            assert np.array_equal(samples, dpx.read(scan / name)[1])
    assert np.array_equal(sequences.read(out / "reel 12" / "f_0111.dpx", 10), sequences.samples(109, 3, 10))
    assert sorted(path.name for path in (out / "step").iterdir()) == names[2:10]
    no_light = 95  # in printing density
    assert set(np.unique(sequences.read(out / "step" / "f_0103.dpx", 10))) == {no_light}
    # What is missing is made up or, over these frames that have nothing in common, held; what is there stays as it is.
    assert sorted(path.name for path in (out / "guess").iterdir()) == names[1:]
    for name in names[1:]:
        found = sequences.read(out / "guess" / name, 10)
        if (scan / name).exists():
            assert np.array_equal(found, dpx.read(scan / name)[1])
    report = (out / "report.csv").read_text()
    assert "lacks 103, 110-111" in report
    assert "the header says 16 frames per second, the manifest 18" in report
