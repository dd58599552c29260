"""What stands at the entrance: the link that lets a browser in once, and the patience with wrong tokens."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict, deque

from db.errors import InputError

CODE_SECONDS = 600.0
"""How long the link that ``serve`` prints may be used."""
MOST_FAILURES = 10
"""Attempts with a wrong token or code that one address has in a minute."""
_MOST_ADDRESSES = 10_000


class OneTimeCode:
    """The code in the link that ``serve`` prints: it works once, and not for long."""

    def __init__(self) -> None:
        """Draw it."""
        self.text = secrets.token_urlsafe(32)
        self._lock, self._is_spent, self._until = threading.Lock(), False, time.monotonic() + CODE_SECONDS

    def spend(self, text: str) -> bool:
        """Whether this is the code, and nobody used it before."""
        with self._lock:
            if (
                self._is_spent
                or time.monotonic() > self._until
                or not secrets.compare_digest(_digest(text), _digest(self.text))
            ):
                return False
            self._is_spent = True
            return True


class Failures:
    """Counts attempts that failed, so that nobody can try without end."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock, self._times = threading.Lock(), OrderedDict[str, deque[float]]()

    def note(self, address: str) -> None:
        """Count one; raises ``InputError`` ``TOO_MANY_REQUESTS`` when there were too many within a minute."""
        now = time.monotonic()
        with self._lock:
            times = self._times.setdefault(address, deque(maxlen=MOST_FAILURES))
            self._times.move_to_end(address)
            if len(self._times) > _MOST_ADDRESSES:
                self._times.popitem(last=False)
            too_many = len(times) == MOST_FAILURES and now - times[0] < 60
            times.append(now)
        if too_many:
            raise InputError("Too many attempts with wrong tokens came from your address", code="TOO_MANY_REQUESTS")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
