from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

from db.scratch import scratch_folder, sweep

HOLDING = """
import sys, time
from pathlib import Path
from db.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1]), "boot") as folder:
    (folder / "reel.mkv").write_bytes(b"x")
    print(folder, flush=True)
    time.sleep(60)
"""


def hold(place: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that has something in scratch."""
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(place)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_holds_is_not(tmp_path: Path) -> None:
    (dead, left), (living, held) = hold(tmp_path), hold(tmp_path)
    end(dead)
    assert (left / "reel.mkv").exists()
    assert sweep(tmp_path) == 1
    assert (left.exists(), (held / "reel.mkv").exists()) == (False, True)
    end(living)
    assert sweep(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_goes_with_its_work(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "scratch", "boot") as folder:
        assert folder.name.startswith(f"{socket.gethostname()[:40]}.boot-")
        assert sweep(tmp_path / "scratch") == 0
        (folder / "inside").mkdir()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_other_hosts_and_other_peoples_files_are_left_alone(tmp_path: Path) -> None:
    host = socket.gethostname()[:40]
    for name in ("elsewhere.boot-12345678", "notes", f"{host}-film"):
        (tmp_path / name).mkdir()
    (tmp_path / f"{host}.file-1").write_text("a file")
    (tmp_path / f"{host}.link-1").symlink_to(tmp_path / "notes")
    assert sweep(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 5


def test_there_may_be_no_scratch_yet(tmp_path: Path) -> None:
    assert sweep(tmp_path / "absent") == 0
