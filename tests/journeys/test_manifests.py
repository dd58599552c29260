"""From what archives have to what they get: every example restored, and a bag whose frame has rotted."""

from __future__ import annotations

from pathlib import Path

import bagit

from db import ledger, progress
from orchestrator.submit import SubmitOptions, submit
from tests.journeys.house import House, photo

EXAMPLES = Path(__file__).parents[2] / "examples" / "manifests"
LOCAL = (
    "native.csv",
    "native.jsonl",
    "native.yaml",
    "media",
    "checksum.sha256",
    "archivematica",
    "bag",
    "timeline.otio",
)


def test_every_example_on_this_machine_is_restored(house: House) -> None:
    house.lead()
    house.hire(2)
    jobs = [submit(house.settings, house.database, EXAMPLES / name, SubmitOptions(recipe="identity")) for name in LOCAL]
    assert [(made.lines, made.bad_lines) for made in jobs] == [(2, 0)] * len(LOCAL)
    for made in jobs:
        assert house.wait_for(made.job_id) == "done"
        house.assert_sound(made.job_id)


def test_a_frame_that_has_rotted_in_a_bag_is_named_and_a_good_copy_mends_it(house: House, tmp_path: Path) -> None:
    root = tmp_path / "bag"
    (root / "reel").mkdir(parents=True)
    for number in range(8):
        photo(root / "reel" / f"f_{number:04d}.png", number)
    bagit.make_bag(str(root), checksums=["sha256", "sha512"])
    frame = root / "data" / "reel" / "f_0005.png"
    good = frame.read_bytes()
    frame.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    house.lead()
    house.hire(1)
    job_id = submit(house.settings, house.database, root, SubmitOptions(recipe="identity")).job_id
    assert house.wait_for(job_id) == "done_with_failures"
    (failure,) = progress.failures(house.database, job_id)
    assert (failure.code, "f_0005.png" in str(failure.message)) == ("CHECKSUM_MISMATCH", True)
    frame.write_bytes(good)
    assert ledger.rerun(house.database, job_id, ledger.Selection()) == 1
    assert house.wait_for(job_id) == "done"
    house.assert_sound(job_id)


def test_what_leads_outside_by_the_time_of_the_work_is_not_read(house: House, tmp_path: Path) -> None:
    """Not what was exchanged after it was submitted, and not what nobody looked at then."""
    folder, private = tmp_path / "box", tmp_path / "private"
    folder.mkdir()
    private.mkdir()
    for name in ("good", "late", "unseen"):
        photo(folder / f"{name}.png", len(name))
    for name in ("late", "unseen"):
        (folder / f"{name}.png").rename(private / f"{name}.png")
    (folder / "unseen.png").symlink_to(private / "unseen.png")
    (folder / "m.csv").write_text("id,uri\ngood,good.png\nlate,late.png\nunseen,unseen.png\n")
    options = SubmitOptions(recipe="identity", check_files=False)
    job_id = submit(house.settings, house.database, folder / "m.csv", options).job_id
    (folder / "late.png").symlink_to(private / "late.png")
    house.lead()
    house.hire(1)
    assert house.wait_for(job_id) == "done_with_failures"
    failures = {each.external_id: each.code for each in progress.failures(house.database, job_id)}
    assert failures == {"late": "PATH_UNSAFE", "unseen": "PATH_UNSAFE"}
    # Whoever leads the house may allow it, for this job and no other.
    allowing = house.settings.model_copy(update={"source_roots": (str(private),)})
    again = submit(allowing, house.database, folder / "m.csv", SubmitOptions(recipe="identity", new=True)).job_id
    assert house.wait_for(again) == "done"
    assert ledger.rerun(house.database, job_id, ledger.Selection()) == 2
    assert house.wait_for(job_id) == "done_with_failures"
