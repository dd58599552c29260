"""What every handler of the web face is given: one server's settings, database and helpers that outlive a request."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from db.session import Database
from db.settings import Settings
from db.store import open_store
from db.store.base import Store
from orchestrator.on_demand.look import Looks
from orchestrator.web.address import Address
from orchestrator.web.assets import Assets
from orchestrator.web.background import Background
from orchestrator.web.entrance import Failures, OneTimeCode
from orchestrator.web.events import Streams
from orchestrator.web.figures import InstallationFigures, Requests
from orchestrator.web.uploads import Uploads


@dataclass
class Site:
    """One server."""

    settings: Settings
    database: Database
    address: Address
    is_open: bool
    """Whether nobody has to log in."""
    code: OneTimeCode
    failures: Failures
    assets: Assets
    streams: Streams
    uploads: Uploads
    background: Background
    looks: Looks
    requests: Requests
    figures: InstallationFigures
    waits_for: str = ""
    """What the work beside this server waits for, or why none is done here, for people; empty where all is well."""
    done_elsewhere: bool = False
    """Whether another run or server of this home does its work."""
    stopping: threading.Event = field(default_factory=threading.Event)

    def note_waiting(self, reason: str) -> None:
        """Note what the work waits for; it is this server that does it."""
        self.waits_for, self.done_elsewhere = reason, False

    @property
    def store(self) -> Store:
        """The store, opened anew: it keeps nothing open."""
        return open_store(self.settings)


def site_of(request: Request) -> Site:
    """Return the site that a request was sent to."""
    return cast(Site, request.app.state.site)


SiteDep = Annotated[Site, Depends(site_of)]
