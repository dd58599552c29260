"""``python -m tests.soak MINUTES``: first on SQLite, then on PostgreSQL, Redis and S3, half of the time each.

Prints a line a round and at the end, as Markdown, what was done how often. Exits with 1 where an invariant broke; the
folder with home and logs is kept then, and named.

A full disk needs a small disk: a tmpfs in a mount namespace of our own. Root has one for the asking; others too where
the kernel lets users make namespaces. Where neither goes, that fault is left out, and the summary says so.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from db import progress
from db.errors import OutageError
from db.states import JOB_OVER
from db.tables import Attempt
from tests.journeys import house as journeys
from tests.journeys.house import House, film, photo
from tests.soak import faults
from tests.soak.faults import NotHere, Scene
from tests.soak.machines import Park, clock_library
from tests.support import servers
from tests.support.proxy import forgetful_proxy
from tests.support.servers import wait_until

_INSIDE = "REELWRIGHT_SOAK_DISK"
"""Not a setting: told to the process that has a small disk."""
_DISK = "200m"
_FRAMES, _STILLS = 48, 5
_RECIPE = "- deflicker: {}\n- denoise: {method: temporal, radius: 1}\n- trap: {seconds: 0.04}"
_ROUND_SECONDS = 420
"""A job of seconds must be over so long after its last fault."""
_FORGET_EVERY = 25
"""Every so-manieth request to write to S3 succeeds, and its answer is lost."""
_LOST_ANSWERS = "lose_an_answer_of_the_store"
_WORST_EXIT = 70
"""What a command ends with that met a fault of ours."""


@dataclass
class Tally:
    """What was done in one installation."""

    rounds: int = 0
    done: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    exits: Counter[int] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def main(arguments: list[str] | None = None) -> int:
    """Soak both installations; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.disk and _INSIDE not in os.environ:
        inside = _reexecute(arguments if arguments is not None else sys.argv[1:])
        if inside is not None:
            return inside
    chance = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="reelwright-soak-"))
    _say(f"seed {options.seed}, logs in {folder}, clocks {'stepped' if clock_library() else 'left alone'}")
    tallies: dict[str, Tally] = {}
    for name in options.house:
        seconds = 60 * options.minutes / len(options.house)
        tallies[name] = _soak(name, folder / name, chance, seconds, with_disk=_INSIDE in os.environ)
    _say(_summary(tallies))
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 -- what people read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("minutes", type=float, nargs="?", default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--house", nargs="+", default=["embedded", "served"], choices=["embedded", "served"])
    parser.add_argument("--no-disk", dest="disk", action="store_false", help="mount no small disk")
    return parser


def _reexecute(arguments: list[str]) -> int | None:
    """Run again where a disk may be mounted; none where the kernel lets us do it in no way."""
    command = [sys.executable, "-m", "tests.soak", *arguments]
    for way in (["unshare", "--mount"], ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount"]):
        if shutil.which("unshare") and subprocess.run([*way, "true"], check=False, capture_output=True).returncode == 0:
            return subprocess.run([*way, *command], check=False, env=os.environ | {_INSIDE: "1"}).returncode
    return None


def _soak(name: str, folder: Path, chance: random.Random, seconds: float, *, with_disk: bool) -> Tally:
    """Soak one installation for so long."""
    os.environ.pop(_INSIDE, None)
    disk = folder / "disk"
    disk.mkdir(parents=True)
    with ExitStack() as stack:
        has_disk = with_disk and _mount(disk, stack)
        postgres = redis = s3 = proxy = None
        if name == "served":
            postgres, redis = stack.enter_context(servers.postgres()), stack.enter_context(servers.redis())
            s3 = stack.enter_context(servers.s3())
            proxy = stack.enter_context(forgetful_proxy(s3.port, _FORGET_EVERY))
            through = s3.settings | {"s3_endpoint_url": f"http://127.0.0.1:{proxy.port}"}
            urls = (postgres.new_database(), redis.url(1), through)
            house = stack.enter_context(journeys.served(disk / "home", *urls, slots=2))
        else:
            house = stack.enter_context(journeys.embedded(disk / "home", slots=2))
        park = Park(house.settings, workers=2, orchestrators=2)
        stack.callback(park.close)
        scene = Scene(house, park, chance, 0, disk if has_disk else None, postgres, redis, s3)
        tally = _Soak(scene, folder / "sources").run(seconds)
        tally.done[_LOST_ANSWERS] = proxy.forgotten if proxy else 0
    if with_disk:
        os.environ[_INSIDE] = "1"
    return tally


def _mount(folder: Path, stack: ExitStack) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        return False
    stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=False)
    return True


class _Soak:
    """Rounds in one installation."""

    def __init__(self, scene: Scene, sources: Path) -> None:
        sources.mkdir()
        self._scene, self._tally = scene, Tally()
        self._sources = {f"p{number}": photo(sources / f"{number}.png", number) for number in range(_STILLS)}
        self._sources["reel"] = film(sources / "reel.mkv", _FRAMES, dirty=True)
        self._sources["cut"] = photo(sources / "cut.png", 9)
        (sources / "cut.png").write_bytes((sources / "cut.png").read_bytes()[:900])
        self._expected: dict[str, Any] = {}

    def run(self, seconds: float) -> Tally:
        """Do rounds until the time is over; the first is left in peace and says what all others must come to."""
        began = time.monotonic()
        self._expected = self._round([])
        while time.monotonic() < began + seconds:
            before = self._tally.done.copy()
            found = self._round(faults.FAULTS)
            assert found == self._expected, (
                f"not what an undisturbed round came to: {_differences(self._expected, found)}"
            )
            self._tally.rounds += 1
            done = ", ".join(f"{name} {count}" for name, count in (self._tally.done - before).items())
            _say(f"  round {self._tally.rounds} sound after {done}")
        self._check_machines()
        self._tally.seconds = time.monotonic() - began
        return self._tally

    def _round(self, kinds: Any) -> dict[str, Any]:
        """Restore everything while faults are done; returns what came out."""
        house = self._scene.house
        self._scene.job_id = job_id = faults.insist(lambda: house.submit(self._sources, _RECIPE))
        over = threading.Event()
        disturber = threading.Thread(target=self._disturb, args=(kinds, over), daemon=True)
        disturber.start()
        try:
            wait_until(lambda: self._is_over(job_id), _ROUND_SECONDS, f"job {job_id} is over")
        finally:
            over.set()
            disturber.join()
            self._scene.park.heal()
        # A rerun may have been asked for in the last moment, and outages may have just ended.
        wait_until(lambda: self._is_over(job_id), _ROUND_SECONDS, f"job {job_id} is over")
        faults.insist(lambda: house.assert_sound(job_id))
        before = self._outcome(job_id)
        faults.send_old_messages(self._scene)
        time.sleep(1)
        assert self._outcome(job_id) == before, "old messages changed what was accepted"
        faults.insist(lambda: house.assert_sound(job_id))
        return before

    def _is_over(self, job_id: int) -> bool:
        try:
            return progress.job(self._scene.house.database, job_id).state in JOB_OVER
        except OutageError:
            return False

    def _disturb(self, kinds: Any, over: threading.Event) -> None:
        chance = self._scene.chance
        while kinds and not over.wait(chance.uniform(0.2, 3)):
            fault = chance.choice(kinds)
            try:
                fault(self._scene)
            except NotHere:
                continue
            except OutageError:
                pass
            self._tally.done[fault.__name__] += 1

    def _outcome(self, job_id: int) -> dict[str, Any]:
        """Return states, codes and every picture's digest; not the generation, which a rerun raises."""
        house = self._scene.house
        rows = {row.external_id: (row.state.value, row.code) for row in progress.items(house.database, job_id)}
        stills = {
            row.external_id: result.outputs["still"].sha256
            for row, result in progress.results(house.database, job_id)
            if result and "still" in result.outputs
        }
        return {"items": rows, "stills": stills, "frames": house.framemd5(job_id)}

    def _check_machines(self) -> None:
        park = self._scene.park
        for machine in park.machines:
            self._tally.starts += machine.starts
            self._tally.exits.update(machine.exits)
        assert not self._tally.exits[_WORST_EXIT], "a command ended with a fault of ours"
        left = self._scratch_of_the_dead()
        assert not left, f"scratch of the dead is left: {left}"
        _count_attempts(self._scene.house, self._tally)

    def _scratch_of_the_dead(self) -> list[str]:
        """Return folders that stay in scratch although nobody is at work; a minute is given to sweep them."""
        folder = self._scene.house.settings.scratch_folder
        for _ in range(60):
            left = sorted(os.listdir(folder)) if folder.is_dir() else []
            if not left:
                break
            time.sleep(1)
        return left


def _count_attempts(house: House, tally: Tally) -> None:
    with house.database.read() as connection:
        for outcome, count in connection.execute(select(Attempt.outcome, func.count()).group_by(Attempt.outcome)):
            tally.attempts[str(outcome)] += count


def _differences(one: dict[str, Any], other: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {one[name]} and {other[name]}"[:600] for name in one if one[name] != other[name])


def _summary(tallies: dict[str, Tally]) -> str:
    names = [*(fault.__name__ for fault in faults.FAULTS), _LOST_ANSWERS]
    lines = [f"| fault | {' | '.join(tallies)} |", f"|---|{'---:|' * len(tallies)}"]
    lines += [
        f"| {name.replace('_', ' ')} | {' | '.join(str(each.done[name]) for each in tallies.values())} |"
        for name in names
    ]
    for name, tally in tallies.items():
        lines.append(
            f"\n{name}: {tally.rounds} rounds in {tally.seconds / 60:.0f} minutes, {sum(tally.done.values())} faults; "
            f"machines started {tally.starts} times, exits {dict(tally.exits)}, attempts {dict(tally.attempts)}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
