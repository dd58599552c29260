"""A TCP proxy that passes a request on and then forgets to answer: what was asked for has happened all the same."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.servers import free_port


class Proxy:
    """Counts the HTTP writes that pass; every ``forget_every``-th loses its answer."""

    def __init__(self, target: int, forget_every: int) -> None:
        self.target, self.forget_every = target, forget_every
        self.seen = self.forgotten = 0
        self.port = free_port()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as server:
            forget = threading.Event()
            back = threading.Thread(target=self._answer, args=(server, client, forget), daemon=True)
            back.start()
            while data := client.recv(65536):
                if data.startswith(b"PUT "):
                    self.seen += 1
                    if self.seen % self.forget_every == 0:
                        forget.set()
                server.sendall(data)
            back.join(1)

    def _answer(self, server: socket.socket, client: socket.socket, forget: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if forget.is_set() and data.startswith(b"HTTP/1.1 200"):
                    self.forgotten += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)


@contextmanager
def forgetful_proxy(target: int, forget_every: int) -> Iterator[Proxy]:
    proxy = Proxy(target, forget_every)
    try:
        yield proxy
    finally:
        proxy.listener.close()
