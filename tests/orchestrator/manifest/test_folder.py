"""A plain folder as a manifest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from db.recipe import resolve
from orchestrator import manifest
from orchestrator.manifest import folder
from tests.orchestrator.manifest.reading import SETTINGS, bury, codes, lines_of, read, refused
from tests.support.humble import as_nobody, open_folder


def _files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_numbered_pictures_are_a_reel_and_the_rest_are_themselves(tmp_path: Path) -> None:
    _files(tmp_path, *(f"reel/f_{number:06d}.dpx" for number in range(86400, 86406)))
    _files(tmp_path, "photo.jpg", "film.MP4", "few_1.png", "few_2.png", "notes.txt", "sound.wav", ".hidden.jpg")
    opened = manifest.open_manifest(tmp_path)
    found = list(manifest.lines(opened, resolve("identity"), SETTINGS))
    assert [line.external_id for line in found] == [
        "few_1.png",
        "few_2.png",
        "film.MP4",
        "photo.jpg",
        "reel/f_086400-086405.dpx",
    ]
    assert codes(found) == []
    reel = found[-1].source
    assert reel is not None
    assert reel.sequence is not None
    assert (reel.uri, reel.sequence.padding, reel.sequence.start) == (str(tmp_path / "reel"), 6, 86400)
    assert [note.partition(" were")[0] for note in opened.notes] == [
        "Sound files", "Files of other kinds", "Hidden files and folders",
    ]  # fmt: skip


def test_gaps_steps_and_paddings(tmp_path: Path) -> None:
    _files(tmp_path, *(f"gaps/f{number:04d}.png" for number in (1, 2, 4, 5, 9)))
    _files(tmp_path, *(f"step/f{number:02d}_out.png" for number in range(0, 12, 2)))
    _files(tmp_path, *(f"grows/f{number}.png" for number in range(8, 13)))
    _files(tmp_path, *(f"over/f{number:02d}.png" for number in range(97, 103)), "over/f01.png")
    found = {line.external_id: line for line in lines_of(tmp_path, check_files=True)}
    assert sorted(found) == ["gaps/f0001-0009.png", "grows/f8-12.png", "over/f01-102.png", "step/f00-10_out.png"]
    assert codes(found.values()) == [(1, "SEQUENCE_GAP"), (3, "SEQUENCE_GAP")]
    assert [line.source.sequence.step for line in found.values() if line.source and line.source.sequence] == [
        1,
        1,
        1,
        2,
    ]


def test_links_to_folders_are_not_followed_and_homes_are_left_out(tmp_path: Path) -> None:
    _files(tmp_path, "a/b.jpg", "home/reelwright.db", "home/store/x.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert [line.external_id for line in lines_of(tmp_path)] == ["a/b.jpg"]


def test_names_that_are_no_text_are_spelled(tmp_path: Path) -> None:
    _files(
        tmp_path, "bad\udcff.jpg", "bad%FF.jpg", "line\nend.jpg", "fine 100%.jpg", "\udce9/good.jpg", "a\u202eb\t.jpg"
    )
    found = {line.external_id: line for line in lines_of(tmp_path, check_files=True)}
    assert codes(found.values()) == []
    uris = {name: line.source.uri.removeprefix(str(tmp_path)) for name, line in found.items() if line.source}
    root = f"file://{tmp_path}"
    assert uris == {
        "bad%FF.jpg": "/bad%FF.jpg", "./bad%FF.jpg": f"{root}/bad%FF.jpg", "./line%0Aend.jpg": f"{root}/line%0Aend.jpg",
        "fine 100%.jpg": "/fine 100%.jpg", "./%E9/good.jpg": f"{root}/%E9/good.jpg",
        r"./a\u202eb%09.jpg": f"{root}/a%E2%80%AEb%09.jpg",
    }  # fmt: skip
    assert all(os.path.isfile(line.source.path) for line in found.values() if line.source)


def test_frames_whose_names_are_no_text_are_a_reel(tmp_path: Path) -> None:
    _files(tmp_path, *(f"50%\udce9_{number:04d}\t.dpx" for number in (1, 2, 3, 5, 6)))
    _files(
        tmp_path, *(f"plain_{number:04d}.dpx" for number in range(5)), *(f"\udcff/f{number}.dpx" for number in range(5))
    )
    found = {line.external_id: line for line in lines_of(tmp_path, check_files=True)}
    assert set(found) == {"./50%25%E9_0001-0006%09.dpx", "plain_0000-0004.dpx", "./%FF/f0-4.dpx"}
    assert [code for _, code in codes(found.values())] == ["SEQUENCE_GAP"]
    odd = found["./50%25%E9_0001-0006%09.dpx"]
    assert (odd.source.uri, odd.source.file_name("7")) == (f"file://{tmp_path}", "50%\udce9_7\t.dpx")  # type: ignore[union-attr]
    assert (odd.extra["sequence.prefix"], odd.extra["sequence.suffix"]) == ("50%25%E9_", "%09.dpx")
    assert found["plain_0000-0004.dpx"].source.uri == str(tmp_path)  # type: ignore[union-attr]


def test_a_name_too_long_for_an_id_ends_as_it_did(tmp_path: Path) -> None:
    _files(tmp_path, *("\udcfe" * 240 + f"{end}.jpg" for end in "ab"))
    found = lines_of(tmp_path, check_files=True)
    assert codes(found) == []
    assert [(len(line.external_id), line.external_id[-8:]) for line in found] == [(512, "%FEa.jpg"), (512, "%FEb.jpg")]


def test_one_film_or_photo_is_a_manifest_of_itself(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(bytes(range(256)))
    (line,) = lines_of(tmp_path / "film.mp4", check_files=True)
    assert (line.external_id, line.problems) == ("film.mp4", ())


def test_sound_belongs_to_the_reel_that_it_is_named_after(tmp_path: Path) -> None:
    _files(tmp_path, "film.mkv", "film.WAV", "film.mp3", "photo.jpg", "photo.wav", "reel1.bwf", "lone.wav")
    _files(tmp_path, *(f"reel1/f_{number:04d}.png" for number in range(5)))
    _files(tmp_path, *(f"reel2/shot_{number:04d}.png" for number in range(5)), "reel2/shot.wav")
    _files(tmp_path, *(f"reel3/x{number:04d}.png" for number in range(5)), "reel3/reel3.wav")
    _files(tmp_path, *(f"reel4/y{number:04d}.png" for number in range(5)), "reel4/y0000-0004.wav")
    _files(tmp_path, *(f"two/{name}{number:04d}.png" for name in "ab" for number in range(5)), "two.wav", "two/two.wav")
    opened = manifest.open_manifest(tmp_path)
    found = list(manifest.lines(opened, resolve("identity"), SETTINGS))
    assert codes(found) == []
    sounds = {line.external_id: Path(line.source.sound).name for line in found if line.source}
    assert sounds == {
        "film.mkv": "film.WAV", "photo.jpg": "", "reel1/f_0000-0004.png": "reel1.bwf",
        "reel2/shot_0000-0004.png": "shot.wav", "reel3/x0000-0004.png": "reel3.wav",
        "reel4/y0000-0004.png": "y0000-0004.wav", "two/a0000-0004.png": "", "two/b0000-0004.png": "",
    }  # fmt: skip
    assert "passed over (4)" in opened.notes[0]


def test_lists_of_digests_in_a_folder_are_pointed_at(tmp_path: Path) -> None:
    _files(tmp_path, "a.jpg", "checksum.md5", "reel/SHA256SUMS")
    found, notes = read(tmp_path)
    assert len(found) == 1
    assert "Lists of digests lie there (2)" in notes[-1]


def test_what_cannot_be_listed_is_a_problem_with_its_path_and_a_note(tmp_path: Path) -> None:
    _files(tmp_path, "a.jpg", "deep/b.jpg", "z.jpg")
    bury(tmp_path / "deep", "lost.jpg")
    found, notes = read(tmp_path, check_files=True)
    ((number, code),) = codes(found)
    assert (number, code) == (4, "SOURCE_DENIED")
    assert "deep/ddd" in found[3].problems[0].message
    assert [line.external_id for line in found if not line.problems] == ["a.jpg", "z.jpg", "deep/b.jpg"]
    assert any("cannot be looked into: 1;" in note for note in notes)


def test_folders_that_may_not_be_read_are_told_by_name_and_the_rest_is_taken() -> None:
    with open_folder() as root:
        _files(root, "a.jpg", "z.jpg", "closed/x.jpg", "deep/b.jpg", "deep/er/closed/y.jpg", "enter/n.jpg")
        _files(root, *(f"reel/f_{number:04d}.png" for number in range(6)))
        _files(root, *(f"names/f_{number:04d}.png" for number in range(6)))
        _files(root, *(f"good/f_{number:04d}.png" for number in range(6)))
        (root / "unreadable.jpg").write_bytes(b"x")
        modes = {"closed": 0, "deep/er/closed": 0o311, "enter": 0o644, "names": 0o644, "reel": 0}
        for name, mode in modes.items():
            (root / name).chmod(mode)
        with as_nobody():
            found, notes = read(root, check_files=True)
    bad = {line.problems[0].message: line.problems[0].code for line in found if line.problems}
    assert set(bad.values()) == {"SOURCE_DENIED"}
    assert {f"The folder {name!r} cannot be looked into: Permission denied" for name in modes} == set(bad)
    good = [line.external_id for line in found if not line.problems]
    assert good == ["a.jpg", "unreadable.jpg", "z.jpg", "deep/b.jpg", "good/f_0000-0005.png"]
    assert "Folders that cannot be looked into: 5; what lies in them is not in this manifest" in notes


def test_a_manifest_that_may_not_be_read_says_so() -> None:
    with open_folder() as root:
        _files(root, "closed/x.jpg", "m.csv")
        (root / "closed").chmod(0)
        with as_nobody():
            assert refused(root / "closed") == "SOURCE_DENIED"
            assert refused(root / "closed" / "x.jpg") == "SOURCE_DENIED"


def test_a_folder_that_goes_away_meanwhile_is_told_by_name(tmp_path: Path) -> None:
    _files(tmp_path, "a/x.jpg", "b/y.jpg", "c/z.jpg")
    listings = folder.walk(tmp_path)
    next(listings)
    shutil.rmtree(tmp_path / "b")
    faults = {os.path.basename(each.path): (each.names, each.fault) for each in listings}
    assert faults == {"a": (["x.jpg"], ""), "b": ([], "No such file or directory"), "c": (["z.jpg"], "")}


def test_what_is_hidden_is_counted(tmp_path: Path) -> None:
    _files(tmp_path, "a/b.jpg", "a/._b.jpg", "a/.DS_Store", ".trash/x.jpg", ".trash/y.jpg", "..\udcff.jpg")
    found, notes = read(tmp_path, check_files=True)
    assert [line.external_id for line in found] == ["a/b.jpg"]
    assert notes == ["Hidden files and folders were passed over: 4"]


def test_links_to_folders_are_counted(tmp_path: Path) -> None:
    _files(tmp_path, "a/b.jpg")
    for name in ("a/up", "a/self", "one", "two\udcff"):
        (tmp_path / name).symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    found, notes = read(tmp_path, check_files=True)
    assert [line.external_id for line in found] == ["a/b.jpg"]
    assert "Links to folders were not followed (4): one, two%FF, a/self and others" in notes


def test_links_that_lead_nowhere_cost_themselves_alone(tmp_path: Path) -> None:
    _files(tmp_path, "a.jpg", "sub/b.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "sub" / "loop").symlink_to("loop")
    (tmp_path / "one.png").symlink_to("two.png")
    (tmp_path / "two.png").symlink_to("one.png")
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "long.jpg").symlink_to("x/" * 100 + "y" * 300)
    found = lines_of(tmp_path, check_files=True)
    assert [line.external_id for line in found if not line.problems] == ["a.jpg", "sub/b.jpg"]
    assert {code for _, code in codes(found)} == {"SOURCE_DENIED", "FILE_MISSING"}


def test_a_home_is_left_out_with_a_note(tmp_path: Path) -> None:
    _files(tmp_path, "a.jpg", "sub/reelwright.db", "sub/b.jpg")
    found, notes = read(tmp_path)
    assert [line.external_id for line in found] == ["a.jpg"]
    assert any("left out: sub" in note for note in notes)
    _files(tmp_path, "reelwright.db")
    found, notes = read(tmp_path)
    assert found == []
    assert any("left out: ." in note for note in notes)


def test_digits_of_other_scripts_number_no_frames(tmp_path: Path) -> None:
    _files(tmp_path, *(f"f_{digit}.png" for digit in "\u0661\u0662\u0663\u0664\u0665"))
    found = lines_of(tmp_path, check_files=True)
    assert (len(found), codes(found)) == (5, [])


def test_the_number_may_stand_in_the_middle_of_the_name(tmp_path: Path) -> None:
    _files(tmp_path, *(f"a/reel12_{number:05d}_v2.png" for number in range(6)))
    _files(tmp_path, *(f"b/scan_{number}_600dpi.tif" for number in range(8, 13)))
    _files(tmp_path, *(f"c/shot{shot}_{number:04d}.png" for shot in range(12) for number in range(5)))
    _files(tmp_path, *(f"d/{number:04d}_2024-05-{number:02d}.png" for number in range(1, 4)))
    found = [line.external_id for line in lines_of(tmp_path, check_files=True)]
    assert found[:2] == ["a/reel12_00000-00005_v2.png", "b/scan_8-12_600dpi.tif"]
    assert sorted(found[2:14]) == sorted(f"c/shot{shot}_0000-0004.png" for shot in range(12))
    assert len(found) == 17


def test_a_frame_that_falls_off_its_reel_is_told(tmp_path: Path) -> None:
    _files(tmp_path, "r8.png", *(f"r{number:02d}.png" for number in range(9, 14)), "other1.png")
    found, notes = read(tmp_path)
    assert [line.external_id for line in found] == ["other1.png", "r09-13.png", "r8.png"]
    assert [note for note in notes if "zeros" in note and "r8.png" in note and "other1" not in note]


def test_all_that_is_passed_over_is_counted_and_named(tmp_path: Path) -> None:
    _files(tmp_path, "a.png", *(f"f.{ending}" for ending in ("pdf", "doc", "xls", "txt", "zip", "ppt", "eps", "psd")))
    (note,) = read(tmp_path)[1]
    assert "(8 in all)" in note
    assert all(f"{ending} (1)" in note for ending in ("pdf", "doc", "xls", "txt", "zip", "ppt", "eps", "psd"))


def test_suffixes_of_capture_are_films(tmp_path: Path) -> None:
    endings = "m2t mod tod vro dat m1v mpv wtv ogm m2p evo trp dif mj2 ivf dvr-ms"
    _files(tmp_path, *(f"clip.{ending}" for ending in endings.split()))
    found, notes = read(tmp_path)
    assert ({line.source.kind for line in found if line.source}, len(found), notes) == ({"reel"}, 16, [])
