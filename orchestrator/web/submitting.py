"""What may be submitted from elsewhere: uploads, and places below the folders that the server was told of.

What a person at a shell may do on this machine, a caller may not: no recipe by path, no other roots, no fetching.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field

from db import beneath, progress
from db import recipe as recipes
from db.beneath import S3
from db.errors import InputError, ReelwrightError
from db.recipe import Recipe
from db.settings import Settings
from orchestrator import manifest as manifests
from orchestrator import submit as submissions
from orchestrator.manifest import Manifest
from orchestrator.on_demand.dry_run import DryRunReport, dry_run
from orchestrator.submit import Submission, SubmitOptions
from orchestrator.terminal_text import has_control_characters
from orchestrator.web.background import Order
from orchestrator.web.site import Site

MOST_NAME = 200
MOST_PLACE = 4000
MOST_PRIORITY = 10**6

log = structlog.get_logger(__name__)


class ManifestOrder(BaseModel):
    """Which manifest, and what is done to what it lists."""

    model_config = ConfigDict(extra="forbid")

    upload: str = Field("", max_length=64, description="Id of an upload: a manifest, a photo or a film.")
    root: str | None = Field(
        None,
        max_length=MOST_PLACE,
        description="One of the server's roots. A place counts from there, and so do an uploaded manifest's paths.",
    )
    place: str = Field("", max_length=MOST_PLACE, description="A manifest, folder, film or photo below the root.")
    recipe: str | dict[str, object] | list[object] | None = Field(
        None, description="Name of a shipped recipe, or a recipe's document; if omitted, the manifest's or the default."
    )
    check_files: bool = Field(True, description="Whether to look at the files while the manifest is read.")


class PlanOrder(ManifestOrder):
    """A dry run."""

    probe: bool = Field(True, description="Whether to open the files and estimate the work.")


class SubmitOrder(ManifestOrder):
    """A submission."""

    name: str = Field("", max_length=MOST_NAME, description="Name of the job; if omitted, that of the manifest.")
    priority: int = Field(0, ge=-MOST_PRIORITY, le=MOST_PRIORITY, description="Jobs with a higher number go first.")
    strict: bool = Field(False, description="Refuse the whole manifest if any line is bad.")
    new: bool = Field(False, description="Submit this manifest again even if it is a job already.")
    segment_frames: int | None = Field(None, ge=1, le=100_000, description="Frames in one restore task of a reel.")


def named_recipe(given: str | dict[str, object] | list[object] | None) -> Recipe | None:
    """Return a recipe by its shipped name, or from a document; never by a path: that would show files of this machine.

    Raises:
        RecipeError: It is wrong.
        InputError: ``UNKNOWN_RECIPE``.
    """
    if given is None:
        return None
    if not isinstance(given, str):
        return recipes.under_its_name(recipes.from_document(given, "own recipe"))
    if given not in recipes.names():
        raise InputError(f"There is no shipped recipe {given!r:.80}", code="UNKNOWN_RECIPE")
    return recipes.resolve(given)


def find_manifest(site: Site, order: ManifestOrder) -> Manifest:
    """Open the manifest that an order names.

    Raises:
        InputError: ``BAD_VALUE``, ``UNKNOWN_UPLOAD``, ``PATH_UNSAFE``.
        ManifestError: It is not there, or no reader knows it.
    """
    if bool(order.upload) == bool(order.place):
        raise InputError("Name an upload, or a place below a root")
    root = None if order.root is None else _check_root(site, order.root)
    if order.upload:
        if root is not None and root.startswith(S3):
            raise InputError(
                "An uploaded manifest's paths count from a folder; addresses in S3 stand in it as they are"
            )
        return manifests.open_manifest(site.uploads.path(order.upload), folder=Path(root) if root else None)
    if root is None:
        raise InputError(
            "A place counts from a root: name one of the server's",
            remedy="Choose one where the paths count from; GET /api/v1/roots lists them.",
        )
    return manifests.open_manifest(_outside_home(site, _below(root, order.place)))


class UnfinishedOrder(BaseModel):
    """A submission of an upload, as it is kept beside it until there is a job or it is refused."""

    who: str
    salt: str
    """What tells it from another submission of the same manifest, where another job was asked for."""
    order: SubmitOrder


def submit(site: Site, order: SubmitOrder, report: Order, salt: str) -> Submission:
    """Make a job of a manifest, or find the one that was made of it; raises as ``submit.submit``."""
    options = SubmitOptions(
        named_recipe(order.recipe), order.name, order.strict, order.new, order.check_files, order.segment_frames,
        order.priority, salt=salt,
    )  # fmt: skip
    return submissions.submit(
        _settings(site), site.database, find_manifest(site, order), options, on_lines=report.advance
    )


def resume(site: Site) -> None:
    """Go on with submissions of uploads that an earlier server was at when it ended."""
    for upload_id, key, text in site.uploads.orders():
        try:
            unfinished = UnfinishedOrder.model_validate_json(text)
            _begin_submission(site, unfinished, key, find_manifest(site, unfinished.order).name)
        except (ReelwrightError, ValueError, OSError) as error:  # it waits for the next start
            log.warning("a submission is not gone on with", upload=upload_id, error=str(error)[:300])


def _begin_submission(site: Site, unfinished: UnfinishedOrder, key: str, title: str) -> Order:
    order = unfinished.order

    def work(report: Order) -> Submission:
        try:
            submission = submit(site, order, report, unfinished.salt)
        except InputError:  # refused for good; whatever else it was, the next server tries again
            if order.upload:
                site.uploads.drop_order(order.upload, key)
            raise
        if order.upload:
            site.uploads.keep(order.upload)
            site.uploads.drop_order(order.upload, key)
        return submission

    return site.background.start("submission", unfinished.who, work, title)


def plan(site: Site, order: PlanOrder, report: Order) -> DryRunReport:
    """Find all problems of a manifest and estimate the work; raises as ``dry_run``."""
    return dry_run(
        _settings(site), find_manifest(site, order), recipe=named_recipe(order.recipe), probe=order.probe,
        check_files=order.check_files, registered=progress.weights_at_hand(site.database), database=site.database,
        on_lines=report.advance,
    )  # fmt: skip


def start(site: Site, who: str, order: SubmitOrder | PlanOrder) -> Order:
    """Begin a submission or a dry run in the background, after what can be told at once."""
    manifest = find_manifest(site, order)
    named_recipe(order.recipe)
    if isinstance(order, PlanOrder):
        return site.background.start("plan", who, lambda report: plan(site, order, report), manifest.name)
    key = secrets.token_hex(8)
    unfinished = UnfinishedOrder(who=who, salt=key if order.new else "", order=order)
    if order.upload:
        site.uploads.note_order(order.upload, key, unfinished.model_dump_json())
    try:
        return _begin_submission(site, unfinished, key, manifest.name)
    except InputError:
        if order.upload:
            site.uploads.drop_order(order.upload, key)
        raise


def _settings(site: Site) -> Settings:
    """Return the settings under which a caller's manifest is read: nothing is taken that lies elsewhere."""
    return site.settings.model_copy(update={"allow_fetch": False})


def _check_root(site: Site, root: str) -> str:
    if root not in site.settings.source_roots:
        raise InputError(f"{root!r:.200} is none of the roots that this server was given", code="PATH_UNSAFE")
    return root if root.startswith(S3) else os.path.realpath(root)


def place_below(site: Site, root: str, place: str) -> str:
    """Return a place below one of the server's roots; raises ``InputError`` ``PATH_UNSAFE``."""
    return _outside_home(site, _below(_check_root(site, root), place))


def _outside_home(site: Site, place: str) -> str:
    """Return a place that does not lie in the server's home, where what others sent lies, below whatever root."""
    if beneath.is_beneath(place, beneath.real_roots((str(site.settings.home),))):
        raise InputError(f"{place!r:.200} belongs to the server", code="PATH_UNSAFE")
    return place


def _below(root: str, place: str) -> str:
    """Return a place below a root, wherever links lead."""
    if has_control_characters(place):
        raise InputError(f"{place!r:.200} is no path", code="PATH_UNSAFE")
    if root.startswith(S3):
        parts = place.strip("/").split("/")
        if ".." in parts or "." in parts:
            raise InputError(f"{place!r:.200} leaves its root", code="PATH_UNSAFE")
        return f"{root.rstrip('/')}/{place.strip('/')}" if place.strip("/.") else root
    path = os.path.realpath(os.path.join(root, place))
    if os.path.isabs(place) or not beneath.is_beneath(path, beneath.real_roots((root,))):
        raise InputError(f"{place!r:.200} leaves its root", code="PATH_UNSAFE")
    return path
