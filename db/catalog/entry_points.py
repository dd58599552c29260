"""Entries that outside packages add to the catalogue, through entry points."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Protocol, TypeVar


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Spec = TypeVar("Spec", bound=_Named)


def load_outside(group: str, spec_type: type[Spec], shipped: Iterable[Spec]) -> dict[str, Spec]:
    """Return the shipped entries by name, and behind them those that outside packages bring.

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
    return specs
