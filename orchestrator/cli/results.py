"""Commands about what came of a job: ``get``, ``verify``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from db import progress
from db.errors import InputError
from db.store import open_store
from db.writable import check_writable
from orchestrator.cli.context import CliContext, cli_context, job_or_newest
from orchestrator.cli.options import ItemIds, NewestJobId
from orchestrator.cli.terminal import Terminal
from orchestrator.diagnosis import missing_modules
from orchestrator.results import verify as verifying
from orchestrator.results.bag import BagInfo, write_bag
from orchestrator.results.export import check_folder, export
from orchestrator.results.sidecars import sidecar_maker
from orchestrator.results.signing import Signer, open_signer
from orchestrator.results.verify import Finding, Scope
from orchestrator.wording import format_size, pluralize

SHOWN_CHECKS = 200
"""Failed and skipped checks that are listed; more are only counted."""


def get(
    context: typer.Context,
    job: NewestJobId = None,
    item: ItemIds = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; if omitted, results/job-N in the home.")
    ] = None,
    premis: Annotated[bool, typer.Option("--premis", help="Write a PREMIS 3 record beside each item's files.")] = False,
    bag: Annotated[bool, typer.Option("--bag", help="Make the folder a BagIt bag, with PREMIS records in it.")] = False,
    organization: Annotated[str, typer.Option(help="With --bag: Source-Organization of the bag.")] = "",
    c2pa: Annotated[bool, typer.Option("--c2pa", help="Sign every picture and film with a C2PA sidecar.")] = False,
    c2pa_cert: Annotated[Path | None, typer.Option(help="With --c2pa: PEM file of your certificates.")] = None,
    c2pa_key: Annotated[Path | None, typer.Option(help="With --c2pa: PEM file of your private key.")] = None,
    c2pa_alg: Annotated[str, typer.Option(help="With --c2pa: es256, es384, es512, ps256 … or ed25519.")] = "es256",
    timestamp: Annotated[str, typer.Option(help="With --c2pa: URL of a time-stamping authority.")] = "",
) -> None:
    """Copy a job's results into a folder.

    They are hard links where the store is a folder on the same disk, and otherwise copies; all digests are checked.
    Files of an earlier export are replaced, and nothing else is. A bag holds copies.
    Files whose colour a network invented end in _AIcolor.
    """
    cli = cli_context(context)
    signer = _signer(c2pa_cert, c2pa_key, c2pa_alg, timestamp) if c2pa else None
    settings = cli.settings()
    make_sidecars = sidecar_maker(premis=premis or bag, signer=signer, in_bag=bag)
    with cli.open_database(settings) as database:
        job = job_or_newest(cli.terminal, database, job)
        folder = out or settings.results(job).with_name(f"job-{job}{'-bag' if bag else ''}")
        check_writable(folder.resolve().parent if bag and os.path.isdir(folder) else folder, "--out")
        row = progress.job(database, job)
        check_folder(folder, row.manifest_uri, settings.home)
        total = len(item) if item else progress.progress(database, job).items_total
        with cli.terminal.show_count("items", total) as count:
            store = open_store(settings)
            info = BagInfo(f"reelwright-job-{job}", row.name, organization)
            make = partial(write_bag, info=info) if bag else partial(export, home=settings.home)
            summary = make(database, store, job, folder, external_ids=item or (), papers=make_sidecars, on_item=count)
    cli.terminal.say(
        f"{pluralize(summary.files, 'file')}, {format_size(summary.bytes)}, "
        f"of {pluralize(summary.items, 'item')} in {summary.folder}"
    )
    cli.terminal.document(summary)


def verify(
    context: typer.Context,
    job: NewestJobId = None,
    item: ItemIds = None,
    sources: Annotated[bool, typer.Option("--sources", help="Also read every source again.")] = False,
    frames: Annotated[
        bool, typer.Option("--decode/--no-decode", help="Decode masters and compare every frame with its checksum.")
    ] = True,
    rerun: Annotated[bool, typer.Option("--rerun", help="Also restore stills and parts of reels again.")] = False,
    rerun_frames: Annotated[
        int, typer.Option("--frames", min=1, help="With --rerun: number of frames of each reel.")
    ] = 32,
    out: Annotated[
        Path | None,
        typer.Option(help="Also check this folder, into which results were written."),
    ] = None,
    bag: Annotated[Path | None, typer.Option(help="Check this bag, with or without a job.")] = None,
) -> None:
    """Verify a job's results against its records.

    Digests of all outputs, recipe fingerprints, every frame of every master; on request also sources, reruns, folders
    and bags. Exits with 0 if everything is verified, with 1 if anything differs.
    """
    cli = cli_context(context)
    pixels = not missing_modules("worker")
    scope = Scope(frames and pixels, sources and pixels, rerun_frames if rerun and pixels else 0, out)
    summary = _FindingSummary()
    for finding in _findings(cli, job, tuple(item or ()), scope, bag):
        summary.add(finding)
    if not pixels:
        summary.note("This machine cannot touch pixels: no source, frame or rerun was checked.")
    summary.show(cli.terminal)
    if summary.failure_count:
        raise typer.Exit(1)


def _findings(
    cli: CliContext, job: int | None, items: tuple[str, ...], scope: Scope, bag: Path | None
) -> Iterator[Finding]:
    if bag is not None:
        with cli.terminal.show_count("files") as count:
            yield from verifying.verify_bag(bag, count)
        if job is None:
            return
    settings = cli.settings()
    with cli.open_database(settings) as database:
        job = job_or_newest(cli.terminal, database, job)
        total = len(items) or progress.progress(database, job).items_total
        with cli.terminal.show_count("items", total) as count:
            store = open_store(settings)
            yield from verifying.verify(settings, database, store, job, scope, external_ids=items, on_item=count)


class _FindingSummary:
    """What all checks came to."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.listed: list[Finding] = []
        self.notes: list[str] = []

    @property
    def failure_count(self) -> int:
        return sum(count for (_, state), count in self.counts.items() if state == "failed")

    def add(self, finding: Finding) -> None:
        self.counts[finding.what, finding.state] += 1
        if finding.state != "ok" and len(self.listed) < SHOWN_CHECKS:
            self.listed.append(finding)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def show(self, terminal: Terminal) -> None:
        kinds = sorted({what for what, _ in self.counts})
        states = ("ok", "failed", "skipped")
        rows = [(what, *(self.counts[what, state] for state in states)) for what in kinds]
        terminal.table(("what", *states), rows)
        for finding in self.listed:
            terminal.say(f"\n{finding.where}\n  {finding.code or finding.state}: {finding.message}")
            if finding.remedy:
                terminal.say(f"  {finding.remedy}")
        for note in self.notes:
            terminal.say(f"\n{note}")
        terminal.say(
            "\nEverything verified."
            if not self.failure_count
            else f"\n{pluralize(self.failure_count, 'check')} failed."
        )
        counts = {what: {state: self.counts[what, state] for state in states} for what in kinds}
        document = {"holds": not self.failure_count, "checks": counts, "findings": self.listed, "notes": self.notes}
        terminal.document(document)


def _signer(certificates: Path | None, key: Path | None, algorithm: str, timestamp: str) -> Signer:
    if certificates is None or key is None:
        raise InputError("--c2pa needs --c2pa-cert and --c2pa-key", remedy="docs/provenance explains what they are.")
    return open_signer(certificates, key, algorithm=algorithm, timestamp_url=timestamp)
