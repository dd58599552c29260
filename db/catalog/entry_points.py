"""A part of the catalogue: the shipped entries, and those that outside packages add through entry points."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from importlib.metadata import entry_points
from threading import RLock
from typing import Protocol, TypeVar


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Spec = TypeVar("Spec", bound=_Named)


class Catalog(MutableMapping[str, Spec]):
    """Entries by name, gathered when one is first asked for.

    Not earlier: an outside package may bring entries of several parts from one module, and imports their classes from
    here while they are gathered.
    """

    def __init__(self, gather: Callable[[], Iterable[Spec]]) -> None:
        """Take what gives the entries, in their order."""
        self._gather = gather
        self._specs: dict[str, Spec] | None = None
        self._lock = RLock()

    def __getitem__(self, name: str) -> Spec:
        return self._entries()[name]

    def __setitem__(self, name: str, spec: Spec) -> None:
        self._entries()[name] = spec

    def __delitem__(self, name: str) -> None:
        del self._entries()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries())

    def __len__(self) -> int:
        return len(self._entries())

    def _entries(self) -> dict[str, Spec]:
        with self._lock:
            if self._specs is None:
                self._specs = {}  # for a package that asks while it is imported for this
                self._specs = {spec.name: spec for spec in self._gather()}
            return self._specs


def with_outside(group: str, spec_type: type[Spec], shipped: Iterable[Spec]) -> list[Spec]:
    """Return the shipped entries, and behind them those that outside packages bring.

    An entry point's name is that of its entry. One that cannot be loaded, is something else, or takes a name that is
    taken is left out with a warning.
    """
    specs = {spec.name: spec for spec in shipped}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        try:
            spec = point.load()
        except Exception as error:  # an outside package must not take the house down with it
            logging.getLogger(__name__).warning("%s: %s cannot be loaded: %s", group, point.name, error)
            continue
        if isinstance(spec, spec_type) and spec.name == point.name and spec.name not in specs:
            specs[spec.name] = spec
        else:
            logging.getLogger(__name__).warning("%s: %s is left out: wrong kind or name", group, point.name)
    return list(specs.values())
