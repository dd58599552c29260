"""A network of an installation's own, so that services have the names and ports that they have under compose."""

from __future__ import annotations

import ctypes
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

_CLONE_NEWNET = 0x40000000


class Network:
    """Loopback and nothing else: whatever listens there is reached from within alone."""

    def __init__(self) -> None:
        words = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"]
        self._holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout
        assert self._holder.stdout.readline() == "up\n", "no network of its own: unshare and ip are needed, and root"
        self._place = Path(f"/proc/{self._holder.pid}/ns/net")
        self._inside = ThreadPoolExecutor(1, initializer=self._enter)

    @property
    def door(self) -> list[str]:
        """What comes before a command that is to run within."""
        return ["nsenter", f"--net={self._place}"]

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Ask a server within, and return its answer."""
        return self._inside.submit(httpx.request, method, url, trust_env=False, timeout=60, **options).result()

    def _enter(self) -> None:
        """Take this thread in; the process stays outside."""
        library = ctypes.CDLL(None, use_errno=True)
        with self._place.open() as place:
            if library.setns(place.fileno(), _CLONE_NEWNET):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))

    def close(self) -> None:
        self._inside.shutdown()
        self._holder.kill()
        self._holder.communicate()
