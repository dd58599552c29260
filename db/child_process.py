"""One child process of ours, to which documents go and from which documents come: JSON, a line each.

What else a library prints among them is passed over. How the child ended is its exit status; what that means is said
here alone, by :func:`code_of_death`.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

EXIT_OUT_OF_MEMORY = 78
"""Exit status of a process that took more memory than it may."""
GRACE_SECONDS = 60.0
"""How long a child that is told to stop may take: one that trains on several GPUs ends its own children first."""


def code_of_death(status: int, *, spared: bool = False) -> str:
    """Return the error code of a child that ended without an answer.

    Args:
        status: Its exit status; negative for the signal that ended it.
        spared: Whether none of us would kill it: then the system did, which ran out of memory.
    """
    if status == EXIT_OUT_OF_MEMORY or (spared and status == -signal.SIGKILL):
        return "OUT_OF_MEMORY"
    return "DECODER_CRASH" if status < 0 else "WORKER_FAULT"


class ChildDied(Exception):
    """A child ended instead of answering."""

    def __init__(self, status: int, *, silent_seconds: float | None = None) -> None:
        """Take its exit status, negative for the signal that ended it, and how long it had been silent if for that."""
        what = f"ended with status {status}" if silent_seconds is None else f"said nothing for {silent_seconds:g} s"
        super().__init__(f"The process that was asked {what}")
        self.status, self._is_silent = status, silent_seconds is not None

    @property
    def code(self) -> str:
        """``STALLED``, or as :func:`code_of_death`."""
        return "STALLED" if self._is_silent else code_of_death(self.status, spared=True)


class LineTooLong(Exception):
    """A child wrote a line of more bytes than are read."""


class ChildProcess:
    """A child process. Leaving it as a context waits for its end, or stops it when an exception passes."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        mute: bool = False,
        seconds: float | None = None,
        silent_seconds: float | None = None,
        line_bytes: int = -1,
    ) -> None:
        """Start Python with these arguments.

        Args:
            arguments: As behind ``python``.
            environment: All variables that it sees; none gives it ours.
            mute: Whether what it writes to standard error is thrown away.
            seconds: Killed after so long; none gives it all the time.
            silent_seconds: Killed when it is waited for so long without a line; none waits for ever.
            line_bytes: Longest line that is read; -1 reads any.
        """
        self._line_bytes, self._silent_seconds, self._is_silent = line_bytes, silent_seconds, False
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if mute else None,
            env=environment,
        )
        self._clock: threading.Timer | None = None
        if seconds is not None:
            self._clock = threading.Timer(seconds, self._process.kill)
            self._clock.daemon = True
            self._clock.start()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def ask(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Send a document and return the next that comes.

        Raises:
            ChildDied: None came any more.
            LineTooLong: The answer is longer than is read.
        """
        self.tell(document)
        for answer in self.stream():
            return answer
        raise self.death(self.wait())

    def death(self, status: int) -> ChildDied:
        """Return what its end means for whoever waits for an answer."""
        return ChildDied(status, silent_seconds=self._silent_seconds if self._is_silent else None)

    def tell(self, document: Mapping[str, Any], *, last: bool = False) -> None:
        """Send a document; behind the ``last`` its input ends. Whether it still listens shows in what it answers."""
        assert self._process.stdin is not None
        if self._process.stdin.closed:
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(document).encode() + b"\n")
            self._process.stdin.flush()
        if last:
            self._end_input()

    def stream(self) -> Iterator[dict[str, Any]]:
        """Yield the documents that it writes until it writes no more.

        Raises:
            LineTooLong: A line is longer than is read.
        """
        assert self._process.stdout is not None
        while not self._process.stdout.closed and (line := self._read_line(self._process.stdout)):
            if len(line) == self._line_bytes and not line.endswith(b"\n"):
                raise LineTooLong(f"The process wrote a line of more than {self._line_bytes} bytes")
            try:
                document = json.loads(line)
            except ValueError:  # what a library prints, or a line in whose middle the child died
                continue
            if isinstance(document, dict):
                yield document

    def _read_line(self, stdout: IO[bytes]) -> bytes:
        if self._silent_seconds is None:
            return stdout.readline(self._line_bytes)
        clock = threading.Timer(self._silent_seconds, self._end_silence)
        clock.daemon = True
        clock.start()
        try:
            return stdout.readline(self._line_bytes)
        finally:
            clock.cancel()

    def _end_silence(self) -> None:
        self._is_silent = True
        self._process.kill()

    def wait(self) -> int:
        """Wait for its end, as it chooses; returns its exit status, negative for the signal that ended it."""
        assert self._process.stdout is not None
        self._end_input()
        if not self._process.stdout.closed:
            for _ in self._process.stdout:  # a full pipe would hold it
                pass
        return self._end()

    def interrupt(self) -> None:
        """Ask it to end now, from any thread, and wait for nothing."""
        self._process.terminate()

    def stop(self) -> None:
        """End it now; by force where it does not obey."""
        self.interrupt()
        self._end_input()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._end()

    def _end_input(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def _end(self) -> int:
        assert self._process.stdout is not None
        status = self._process.wait()
        self._process.stdout.close()
        if self._clock is not None:
            self._clock.cancel()
        return status

    def __enter__(self) -> ChildProcess:
        """Return the child."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for it, or stop it when an exception passes."""
        if kind is None:
            self.wait()
        else:
            self.stop()
