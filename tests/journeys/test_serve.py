"""The server as people use it: a process of its own, stopped, killed in the middle of everything, and started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.ledger import access
from db.settings import environment
from db.states import Role
from tests.journeys.house import House, film, photo
from tests.support.servers import wait_until

QUICK = {"REELWRIGHT_DEVICE": "cpu", "REELWRIGHT_BATCH_FRAMES": "4", "REELWRIGHT_TICK_SECONDS": "0.1"}
SLOW = "recipe:\n  - trap: {seconds: 0.1}\noutputs: [master, scores]\n"
STREAM = "GET /api/v1/events HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer TOKEN\r\n\r\n"


@dataclass
class Serving:
    """A server's process, and somebody who may do everything there."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str
    token: str

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.request(method, f"{self.url}{path}", headers=headers, timeout=60, **more)

    def told(self, path: str) -> Any:
        return self.ask("GET", path).json()

    def open(self, request: str) -> socket.socket:
        """Send a request and do not wait for the answer."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        connection = socket.create_connection((host, int(port)), timeout=30)
        connection.sendall(request.replace("HOST", f"{host}:{port}").replace("TOKEN", self.token).encode())
        return connection

    def stream(self) -> socket.socket:
        """Follow all jobs; returns once the first event came."""
        connection, got = self.open(STREAM), b""
        while b"data: " not in got:
            got += connection.recv(65536)
        return connection


def command(house: House, *words: object) -> list[str]:
    return [sys.executable, "-m", "reelwright", "--home", str(house.settings.home), *map(str, words)]


def variables(house: House) -> dict[str, str]:
    return os.environ | environment(house.settings) | QUICK


def say(house: House, *words: object) -> str:
    """Run a command to its end, in the same home."""
    done = subprocess.run(command(house, *words), env=variables(house), capture_output=True, timeout=100, check=True)
    return done.stdout.decode()


@contextmanager
def serve(house: House, *options: object) -> Iterator[Serving]:
    log = house.settings.home / f"serve-{os.urandom(4).hex()}.log"
    token = access.add_token(house.database, os.urandom(4).hex(), Role.ADMIN)
    words = ("--json", "serve", "--port", 0, "--workers", 1, *options)
    with log.open("wb") as sink:
        process = subprocess.Popen(command(house, *words), env=variables(house), stdout=sink, stderr=sink)
    try:
        wait_until(lambda: b'"url"' in log.read_bytes() or process.poll() is not None, 60, "the server is ready")
        assert process.poll() is None, log.read_text()
        line = next(each for each in log.read_text().splitlines() if '"url"' in each)
        yield Serving(process, log, json.loads(line)["url"], token)
    finally:
        process.kill()
        process.wait()


def leave(server: Serving, *numbers: signal.Signals) -> None:
    """Stop a server, by one signal or several; it says nothing that is no sentence."""
    for number in numbers or (signal.SIGTERM,):
        server.process.send_signal(number)
    assert server.process.wait(20) == 0, server.log.read_text()
    assert "Traceback" not in server.log.read_text()


def rest_of(connection: socket.socket) -> bytes:
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


def finished(server: Serving, job_id: int) -> bool:
    return bool(server.told(f"/api/v1/jobs/{job_id}")["job"]["finished_at"])


def send(server: Serving, path: Path, kind: str = "photo") -> str:
    answer = server.ask("PUT", f"/api/v1/uploads/{path.name}?kind={kind}", content=path.read_bytes())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_one_command_gives_pages_and_work_and_leaves_when_it_is_told(house: House, tmp_path: Path) -> None:
    photo(tmp_path / "one.png")
    photo(tmp_path / "two.png", seed=2)
    with serve(house) as server:
        streams = [server.stream() for _ in range(20)]
        assert server.ask("GET", "/api/v1/events").status_code == 429
        say(house, "submit", "--recipe", "identity", tmp_path / "one.png")  # from another shell
        order = {"upload": send(server, tmp_path / "two.png"), "recipe": "identity", "priority": 10}
        assert server.ask("POST", "/api/v1/jobs", json=order).status_code == 202
        wait_until(lambda: len(server.told("/api/v1/jobs")["jobs"]) == 2, 20, "both are jobs")
        wait_until(lambda: finished(server, 1) and finished(server, 2), 90, "both are done")
        assert {server.told(f"/api/v1/jobs/{job}")["job"]["state"] for job in (1, 2)} == {"done"}
        with serve(house) as second:  # another of the same home: it shows, and says who works
            wait_until(
                lambda: "Another run or server does the work" in second.ask("GET", "/workers").text, 20, "it says so"
            )
            assert len(second.told("/api/v1/jobs")["jobs"]) == 2
            leave(server, signal.SIGTERM, signal.SIGINT, signal.SIGTERM)
            say(house, "submit", "--recipe", "identity", "--new", tmp_path / "one.png")
            wait_until(lambda: finished(second, 3), 90, "the one that stays goes on with the work")
            assert "Another run or server" not in second.ask("GET", "/workers").text
            leave(second, signal.SIGINT)
        ends = [rest_of(connection)[-5:] for connection in streams]
        assert ends == [b"0\r\n\r\n"] * 20  # each stream was ended, not torn
    house.assert_sound(1)
    house.assert_sound(2)


def test_killed_in_the_middle_of_everything_it_loses_nothing(house: House, tmp_path: Path) -> None:
    film(tmp_path / "reel.mkv", frame_count=24)
    (tmp_path / "slow.yaml").write_text(SLOW)
    root = tmp_path / "root"
    root.mkdir()
    lines = [f"i{number},i{number}.png" for number in range(5000)]
    (tmp_path / "m.csv").write_text("id,uri\n" + "\n".join(lines) + "\n")
    say(house, "submit", "--recipe", tmp_path / "slow.yaml", tmp_path / "reel.mkv")
    with serve(house, "--source-root", root) as server:
        wait_until(lambda: server.told("/api/v1/jobs/1")["progress"]["frames_done"] > 0, 60, "it is in the middle")
        streams = [server.stream() for _ in range(3)]
        upload = server.open(
            "PUT /api/v1/uploads/half.png?kind=photo HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer TOKEN\r\n"
            "Content-Length: 100000\r\n\r\nhalf"
        )
        download = server.open(
            "GET /api/v1/jobs/1/results.tar HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer TOKEN\r\n\r\n"
        )
        order = {"upload": send(server, tmp_path / "m.csv", "manifest"), "root": str(root), "recipe": "identity"}
        assert server.ask("POST", "/api/v1/jobs", json=order).status_code == 202
        wait_until(lambda: len(server.told("/api/v1/jobs")["jobs"]) == 2, 60, "it is being taken in")
        cut_off = server.told("/api/v1/jobs/2")["job"]["state"]
        server.process.kill()
        server.process.wait()
        for each in (*streams, upload, download):
            each.close()
    with serve(house, "--source-root", root) as after:
        wait_until(lambda: after.told("/api/v1/jobs/2")["job"]["state"] != "ingesting", 60, "it is taken in")
        assert after.told("/api/v1/jobs/2")["progress"]["items_total"] == 5000
        assert len(after.told("/api/v1/jobs")["jobs"]) == 2
        wait_until(lambda: finished(after, 1), 90, "the reel is done")
        assert after.told("/api/v1/jobs/1")["job"]["state"] == "done"
        assert after.ask("GET", "/api/v1/uploads/half.png").status_code == 404
        leave(after)
    assert cut_off in {"ingesting", "ready", "running", "done_with_failures", "failed"}
    house.assert_sound(1)


def test_on_servers_it_only_serves(served_house: House, tmp_path: Path) -> None:
    photo(tmp_path / "one.png")
    with serve(served_house) as server:
        order = {"upload": send(server, tmp_path / "one.png"), "recipe": "identity"}
        assert server.ask("POST", "/api/v1/jobs", json=order).status_code == 202
        wait_until(lambda: server.told("/api/v1/jobs")["jobs"], 20, "there is a job")
        served_house.hire()
        served_house.lead()
        wait_until(lambda: finished(server, 1), 90, "workers elsewhere do it")
        assert server.ask("GET", "/api/v1/jobs/1/results.tar").content.count(b"\x89PNG") == 1
        with server.stream():
            leave(server)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "--public-url"),
        (["--public-url", "https://film.example.org", "--no-login"], "--no-login"),
    ],
)
def test_it_does_not_start_where_anybody_could_come(house: House, options: list[str], said: str) -> None:
    words = command(house, "serve", "--port", 0, *options)
    done = subprocess.run(words, env=variables(house), capture_output=True, timeout=60, text=True)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_it_needs_and_lacks_is_named(house: House, tmp_path: Path) -> None:
    (tmp_path / "fastapi.py").write_text("raise ImportError('not here')\n")
    lacking = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])}
    code = "import sys; sys.modules['uvicorn'] = None; from orchestrator import cli; sys.exit(cli.run(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "--home", str(house.settings.home), "serve"]
    done = subprocess.run(words, env=variables(house) | lacking, capture_output=True, timeout=60, text=True)
    assert done.returncode == 3
    assert "uvicorn" in done.stderr
    assert "Traceback" not in done.stderr
