"""Streams of server-sent events: how far jobs are, as long as somebody looks.

One poller a subject asks the database, whatever number of streams follow it; without any, nobody asks.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from db.errors import InputError, ReelwrightError
from orchestrator.terminal_text import json_text

MOST_OF_ONE, MOST_OF_ALL = 20, 200
"""Streams that one caller, and all together, may hold open."""
POLL_SECONDS = 1.0
LONGEST_SECONDS = 300.0
"""Then a stream ends, and browsers open the next: who may not look any more is told nothing for ever."""
QUIET_SECONDS = 15.0
"""Where nothing changes, something is said nevertheless: what stands between may close a line that is silent."""


@dataclass
class _Subject:
    """What is followed, and the latest of it."""

    read: Callable[[], Any]
    followers: int = 0
    number: int = 0
    latest: Any = None
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    poller: asyncio.Task[None] | None = None
    id: str = ""
    """Says what the latest is: who saw it need not be told again, be it by another server."""

    def take(self, value: Any) -> None:
        """Note a new value."""
        self.latest, self.number = value, self.number + 1
        self.id = hashlib.sha256(json_text(value).encode()).hexdigest()[:16]


class Streams:
    """All streams of one server."""

    def __init__(self) -> None:
        """Begin with none."""
        self._subjects: dict[str, _Subject] = {}
        self._held: Counter[str] = Counter()
        self._stop = False

    def stop(self) -> None:
        """End every stream at its next look: a server waits for them."""
        self._stop = True

    def check_room(self, who: str) -> None:
        """Make sure that a caller may open one more; raises ``InputError`` ``TOO_MANY_REQUESTS``."""
        if self._held[who] >= MOST_OF_ONE or self._held.total() >= MOST_OF_ALL:
            raise InputError(f"{self._held[who]} streams are open already", code="TOO_MANY_REQUESTS")

    async def follow(
        self, who: str, subject: str, read: Callable[[], Any], last_id: str = ""
    ) -> AsyncIterator[tuple[str, Any]]:
        """Yield ids and values: the present one unless ``last_id`` is its id, then each change; none for "still here".

        Args:
            who: The caller, whose streams are counted.
            subject: Name of what is followed; streams of one name share what is read.
            read: Asks the database, in a thread.
            last_id: The last id that the caller has seen.

        Raises:
            InputError: ``TOO_MANY_REQUESTS``; or what ``read`` raises at first.
        """
        self.check_room(who)
        self._held[who] += 1
        place = self._subjects.setdefault(subject, _Subject(read))
        place.followers += 1
        try:
            async with place.changed:
                if place.poller is None:
                    place.take(await asyncio.to_thread(read))
                    place.poller = asyncio.create_task(self._poll(place))
            seen = place.number if last_id == place.id else -1
            until = time.monotonic() + LONGEST_SECONDS
            while not self._stop and time.monotonic() < until:
                if seen != place.number:
                    seen = place.number
                    yield place.id, place.latest
                elif not await self._wait(place, seen):
                    yield "", None
        finally:
            self._leave(who, subject, place)

    def _leave(self, who: str, subject: str, place: _Subject) -> None:
        self._held[who] -= 1
        if self._held[who] <= 0:
            del self._held[who]
        place.followers -= 1
        if place.followers <= 0:
            self._subjects.pop(subject, None)
            if place.poller:
                place.poller.cancel()

    async def _wait(self, place: _Subject, seen: int) -> bool:
        """Wait for a change or for the end; false where neither came for a while."""
        async with place.changed:
            try:
                await asyncio.wait_for(
                    place.changed.wait_for(lambda: self._stop or place.number != seen), QUIET_SECONDS
                )
            except TimeoutError:
                return False
        return True

    async def _poll(self, place: _Subject) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                value = await asyncio.to_thread(place.read)
            except ReelwrightError:  # it is told again when there is something to tell
                value = place.latest
            async with place.changed:
                if value != place.latest:
                    place.take(value)
                place.changed.notify_all()
