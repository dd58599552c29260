"""The server over HTTP: its memory, sizes of pages, pages of a million items beside ten thousand, and how it leaves."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.house import Installation, open_installation
from benchmarks.pages import LARGE, SMALL, fill
from benchmarks.rows import ResultRow, at_most
from db.ledger import access
from db.states import Role

LOADS, STREAMS, READS, UPLOAD_BYTES, AT_ONCE = 1000, 100, 20, 10**9, 20
_FILTERS = {
    "all": "",
    "at the end": "?cursor={last}",
    "done": "?state=done",
    "failed, in the middle": "?state=failed&state=quarantined&cursor={middle}",
    "a rare code": "?code=CORRUPT",
    "a text that finds nothing": "?text=nowhere",
    "below a score": "?score=luma_psnr+%3C+20",
}


@dataclass
class _Server:
    process: subprocess.Popen[bytes]
    url: str
    client: httpx.Client

    @property
    def memory_mb(self) -> float:
        """Resident memory of the server's process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) / 1000 if found else 0.0

    def get(self, path: str) -> httpx.Response:
        answer = self.client.get(path)
        answer.raise_for_status()
        return answer

    def open_stream(self) -> socket.socket:
        """Follow all jobs; returns after the first event."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        connection, got = socket.create_connection((host, int(port))), b""
        bears = self.client.headers["Authorization"]
        request = f"GET /api/v1/events HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: {bears}\r\n\r\n"
        connection.sendall(request.encode())
        while b"data: " not in got:
            got += connection.recv(65536)
        return connection


def run(folder: Path) -> list[ResultRow]:
    with open_installation(folder) as installation:
        small, large = (fill(installation, count) for count in (SMALL, LARGE))
        with _serve(installation, folder) as server:
            pages, page_detail = _compare(server, small, large)
            html, packed, assets = _sizes(server, large)
            loads = _memory_of_loads(server, large)
            upload = _memory_of_upload(server)
            seconds = _seconds_to_leave(server)
    return [
        at_most(
            "items page over HTTP, 1 M items ÷ 10 k items, the worst of all filters", pages, 1.5, detail=page_detail
        ),
        at_most("items page of 100 rows, HTML", html, 60, " kB"),
        at_most("items page of 100 rows, packed", packed, 6, " kB"),
        at_most("all files that the items page loads", assets, 120, " kB"),
        at_most(f"server memory after {LOADS} page loads and {STREAMS} streams", loads, 5, " MB"),
        at_most("server memory, an upload of 1 GB", upload, 20, " MB"),
        at_most(f"SIGTERM with {AT_ONCE} streams open until the exit", seconds, 5, " s"),
    ]


def _compare(server: _Server, small: int, large: int) -> tuple[float, str]:
    worst, name_of_worst = 0.0, ""
    counts = {small: SMALL, large: LARGE}
    for name, query in _FILTERS.items():
        times: dict[int, list[float]] = {small: [], large: []}
        for _ in range(READS):
            for job_id, count in counts.items():  # in turn, so that a noisy moment falls on both
                place = query.format(last=f"a{count - 101}", middle=f"a{count // 2 - 1}")
                start = time.perf_counter()
                server.get(f"/jobs/{job_id}{place}")
                times[job_id].append(time.perf_counter() - start)
        ratio = statistics.median(times[large]) / statistics.median(times[small])
        worst, name_of_worst = max((worst, name_of_worst), (ratio, name))
    return worst, name_of_worst


def _sizes(server: _Server, job_id: int) -> tuple[float, float, float]:
    """Return kilobytes of a page, of the same packed, and of all that it names."""
    html = server.get(f"/jobs/{job_id}").content
    names = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', html.decode()))
    assets = sum(len(server.get(name).content) for name in names)
    return len(html) / 1000, len(gzip.compress(html, 5, mtime=0)) / 1000, assets / 1000


def _memory_of_loads(server: _Server, job_id: int) -> float:
    def load(times: int, streams: int) -> None:
        for _ in range(times):
            server.get(f"/jobs/{job_id}")
        for _ in range(streams // AT_ONCE):
            with ExitStack() as stack:
                for _ in range(AT_ONCE):
                    stack.enter_context(server.open_stream())

    load(100, AT_ONCE)  # what is loaded at first use is no leak
    time.sleep(2)
    before = server.memory_mb
    load(LOADS, STREAMS)
    time.sleep(3)  # streams that nobody reads are noticed at their next word
    return server.memory_mb - before


def _memory_of_upload(server: _Server) -> float:
    """Return by how many megabytes the server grows while a manifest of a gigabyte is sent."""
    before = most = server.memory_mb

    def chunks() -> Iterator[bytes]:
        nonlocal most
        for _ in range(UPLOAD_BYTES // 10**6):
            yield bytes(10**6)
            most = max(most, server.memory_mb)

    headers = {"Content-Length": str(UPLOAD_BYTES)}
    answer = server.client.put("/api/v1/uploads/m.csv?kind=manifest", content=chunks(), headers=headers)
    answer.raise_for_status()
    server.client.delete(f"/api/v1/uploads/{answer.json()['id']}").raise_for_status()
    return max(most, server.memory_mb) - before


def _seconds_to_leave(server: _Server) -> float:
    with ExitStack() as stack:
        for _ in range(AT_ONCE):
            stack.enter_context(server.open_stream())
        start = time.perf_counter()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)
        return time.perf_counter() - start


@contextmanager
def _serve(installation: Installation, folder: Path) -> Iterator[_Server]:
    token = access.add_token(installation.database, "bench", Role.ADMIN)
    command = [sys.executable, "-m", "reelwright", "--home", str(installation.settings.home), "--json", "serve"]
    log = folder / "serve.log"
    with log.open("wb") as sink:
        process = subprocess.Popen([*command, "--port", "0", "--workers", "1"], stdout=sink, env=dict(os.environ))
    try:
        while '"url"' not in log.read_text(encoding="utf-8"):
            if process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.1)
        url = json.loads(next(line for line in log.read_text().splitlines() if '"url"' in line))["url"]
        with httpx.Client(base_url=url, timeout=600, headers={"Authorization": f"Bearer {token}"}) as client:
            yield _Server(process, url, client)
    finally:
        process.kill()
        process.wait()
