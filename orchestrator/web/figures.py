"""Figures for Prometheus: what ``db.figures`` sums up, at most every ten seconds, and requests by route.

No label comes from a manifest: names of states, codes, queues, devices and routes are ours.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.types import Scope

from db import figures
from db.figures import InstallationSums
from db.session import Database

KEPT_SECONDS = 10.0
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OUTCOME_UNKNOWN = "running"


class Requests:
    """Counts answers by method, route and status."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts = Counter[tuple[str, str, str]]()

    def note(self, scope: Scope, status: int) -> None:
        """Count an answer; what no route was found for is counted together."""
        route = getattr(scope.get("route"), "path", "")
        method = scope["method"] if route and scope["method"] in METHODS else ""  # anybody may make up names of methods
        self._counts[method, route, str(status)] += 1

    def rows(self) -> list[tuple[tuple[str, str, str], int]]:
        """Return what was counted."""
        return sorted(self._counts.copy().items())


class InstallationFigures(Collector):
    """What Prometheus is told."""

    def __init__(self, database: Database, lease_seconds: float, requests: Requests) -> None:
        """Ask nothing yet."""
        self._database, self._lease_seconds, self._requests = database, lease_seconds, requests
        self._lock, self._asked_at = threading.Lock(), 0.0
        self._known: InstallationSums | None = None

    def describe(self) -> Iterable[Metric]:
        """Say nothing before somebody asks: the database may be away when the server starts."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all figures as they are now, or were within ten seconds."""
        known = self._figures()
        yield _gauge("reelwright_jobs", "Jobs by state.", ("state",), known.jobs)
        items = {name.removeprefix("items_"): count for name, count in known.counters.items() if name[:6] == "items_"}
        yield _gauge("reelwright_items", "Items by state.", ("state",), items)
        for name in ("frames_done", "bytes_out"):
            yield _gauge(f"reelwright_{name}", f"Sum of {name} over all jobs.", (), {(): known.counters[name]})
        yield _gauge("reelwright_tasks", "Live tasks by queue and state.", ("queue", "state"), known.tasks)
        yield _gauge(
            "reelwright_oldest_queued_seconds", "Age of the oldest task that no worker took yet.", (),
            {(): known.oldest_ready_seconds},
        )  # fmt: skip
        yield _gauge("reelwright_workers", "Live workers.", ("device", "signature"), known.workers)
        recent = {outcome or OUTCOME_UNKNOWN: count for outcome, count in known.recent_attempts.items()}
        help_text = f"The newest {figures.RECENT_ATTEMPTS} attempts by outcome."
        yield _gauge("reelwright_recent_attempts", help_text, ("outcome",), recent)
        yield _gauge("reelwright_failed_items", "Items that carry an error, by code.", ("code",), known.failures)
        yield _gauge("reelwright_deliveries", "Messages to webhooks by state.", ("state",), known.deliveries)
        requests = CounterMetricFamily(
            "reelwright_http_requests", "Answers by route.", labels=("method", "route", "status")
        )
        for labels, count in self._requests.rows():
            requests.add_metric(labels, count)
        yield requests

    def _figures(self) -> InstallationSums:
        with self._lock:
            if self._known is None or time.monotonic() - self._asked_at > KEPT_SECONDS:
                self._known = figures.figures(self._database, self._lease_seconds)
                self._asked_at = time.monotonic()
            return self._known


def exposition(collector: InstallationFigures) -> tuple[bytes, str]:
    """Return all figures in Prometheus' text form, and its type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric((key,) if isinstance(key, str) else key, value)
    return family
