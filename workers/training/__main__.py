"""``python -m workers.training``: trains on a machine that has torch, numpy, OpenCV and safetensors and no more.

``train`` and ``pack`` are what ``reelwright train`` and ``reelwright pack`` start; ``--json`` is how they are followed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from workers import malloc
from workers.training import export, packing, photos, tasks
from workers.training.errors import TrainingError
from workers.training.photos import Photos
from workers.training.trainer import Plan, Progress, Trainer

_HELD_OUT_EVERY = 20
_SAID_EVERY_SECONDS = 5.0
_COURSE = ("encoder", "perception", "start", "side", "colorfulness")


def main(arguments: list[str] | None = None) -> int:
    """Do as the arguments say; returns the exit status."""
    given = _parser().parse_args(arguments)
    say = _Json() if given.json else _Lines()
    try:
        return int(given.does(given, say))
    except TrainingError as error:
        say.fault(error)
        return 2


def _train(given: argparse.Namespace, say: _Lines) -> int:
    malloc.keep()
    torch.set_num_threads(given.threads)
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks > 1:
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        _trained(given, say)
    finally:
        if ranks > 1:
            torch.distributed.destroy_process_group()
    return 0


def _trained(given: argparse.Namespace, say: _Lines) -> None:
    export.checked_label(given.label)
    course = tasks.course(given.network, given.seed or 0, **{name: getattr(given, name) for name in _COURSE})
    plan = Plan.of(course.habits, **{field.name: getattr(given, field.name) for field in fields(Plan)})
    taught, judged_by = _both(given)
    shown = say if int(os.environ.get("RANK", "0")) == 0 else _Nobody()
    board = _Board(given.out) if given.tensorboard and not isinstance(shown, _Nobody) else None

    def said(progress: Progress) -> None:
        shown.progress(progress)
        if board is not None:
            board.progress(progress)

    trainer = Trainer(course, taught, judged_by, given.out, plan, device=given.device, said=said)
    shown.begin(trainer)
    trainer.train()
    if trainer.rank == 0:
        words = export.Words(given.label, given.summary, given.licence, given.data)
        path = export.write(trainer, words, half=not given.full)
        shown.end(trainer, json.loads(path.with_suffix(".json").read_text("utf-8")), path)


def _both(given: argparse.Namespace) -> tuple[Photos, Photos]:
    only = {}
    for pair in given.only:
        column, equals, value = pair.partition("=")
        if not equals:
            raise TrainingError(f"--only {pair}: it takes COLUMN=VALUE", code="BAD_VALUE")
        only[column] = value
    found = photos.opened(given.photos, only)
    if given.held_out is not None:
        return found, photos.opened(given.held_out)
    if len(found) < _HELD_OUT_EVERY:
        raise TrainingError(
            f"{given.photos}: {len(found)} pictures are too few to hold some out", code="BAD_VALUE",
            remedy="Give others to judge by with --held-out.",
        )  # fmt: skip
    return found.split(_HELD_OUT_EVERY)


def _pack(given: argparse.Namespace, say: _Lines) -> int:
    done = packing.pack(
        photos.opened(given.photos), given.out, side=given.side, quality=given.quality, megabytes=given.megabytes,
        seed=given.seed, said=say.packed,
    )  # fmt: skip
    say.document(
        {"shards": [str(path) for path in done.shards], "pictures": done.pictures, "unreadable": done.unreadable}
    )
    return 0


class _Lines:
    """Says how it goes in lines for people."""

    def __init__(self) -> None:
        self._said_at = 0.0

    def begin(self, trainer: Trainer) -> None:
        where = f"goes on at step {trainer.step}" if trainer.step else f"{len(trainer.photos)} photographs"
        self._print(f"{trainer.course.name} on {trainer.device}: {where}, {trainer.plan.steps} steps")

    def progress(self, progress: Progress) -> None:
        if progress.judged is None and not self._due() and progress.step < progress.steps:
            return
        parts = " ".join(f"{name} {value:.4g}" for name, value in progress.parts.items())
        rate = f"{progress.samples_per_second:.1f} a second, {progress.seconds_left / 60:.0f} min left"
        judged = " ".join(f"{name} {value:.4g}" for name, value in (progress.judged or {}).items())
        self._print(f"step {progress.step} of {progress.steps}  {parts}  {rate}  {judged}".rstrip())

    def end(self, trainer: Trainer, card: dict[str, Any], path: Path) -> None:
        self._print(f"{'':24}{'before':>12}{'after':>12}")
        for name, value in card["figures"].items():
            before = card["figures_before"].get(name)
            self._print(f"{name:24}{'' if before is None else format(before, '.3f'):>12}{value:>12.3f}")
        self._print(f"{path}\nreelwright models add {path}")

    def packed(self, done: int, total: int) -> None:
        if self._due():
            self._print(f"{done} of {total} pictures")

    def document(self, document: dict[str, Any]) -> None:
        for name, value in document.items():
            self._print(f"{name}: {value}")

    def fault(self, error: TrainingError) -> None:
        print(error, file=sys.stderr)  # noqa: T201 -- what people read

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._said_at < _SAID_EVERY_SECONDS:
            return False
        self._said_at = now
        return True

    def _print(self, text: str) -> None:
        print(text, flush=True)  # noqa: T201 -- what people read


class _Json(_Lines):
    """Says the same in one JSON document a line."""

    def begin(self, trainer: Trainer) -> None:
        self.document({"begin": trainer.course.name, "device": str(trainer.device), "step": trainer.step,
                       "steps": trainer.plan.steps, "batch": trainer.plan.batch, "photos": len(trainer.photos),
                       "before": trainer.before})  # fmt: skip

    def progress(self, progress: Progress) -> None:
        if progress.judged is not None or self._due() or progress.step == progress.steps:
            self.document(asdict(progress))

    def end(self, trainer: Trainer, card: dict[str, Any], path: Path) -> None:
        self.document({"card": card, "path": str(path)})

    def packed(self, done: int, total: int) -> None:
        if self._due():
            self.document({"done": done, "total": total})

    def document(self, document: dict[str, Any]) -> None:
        self._print(json.dumps(document))

    def fault(self, error: TrainingError) -> None:
        self.document({"code": error.code, "message": error.message, "remedy": error.remedy})


class _Nobody(_Lines):
    """Says nothing: another process says it."""

    def _print(self, text: str) -> None:
        pass


class _Board:
    """Writes the same for TensorBoard."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise TrainingError(
                "TensorBoard is not installed on this machine", code="WORKER_EXTRA_MISSING",
                remedy="pip install tensorboard, or follow log.csv in the training's folder.",
            ) from error  # fmt: skip
        self._writer: Any = SummaryWriter(str(folder / "tensorboard"))

    def progress(self, progress: Progress) -> None:
        for name, value in {"loss": progress.loss, **progress.parts}.items():
            self._writer.add_scalar(name, value, progress.step)
        for name, value in (progress.judged or {}).items():
            self._writer.add_scalar(f"held_out/{name}", value, progress.step)
        self._writer.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m workers.training", description="Train a network, or pack photographs."
    )
    parser.add_argument("--json", action="store_true", help="say all in JSON, a document a line")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="train a network, or go on with a training that was stopped")
    train.set_defaults(does=_train)
    train.add_argument("network", help=", ".join(tasks.NETWORKS))
    train.add_argument("photos", help="folder, manifest or tar shards ('train-*.tar')")
    train.add_argument("--held-out", help="photographs to judge by; none holds out every twentieth")
    train.add_argument("--out", type=Path, required=True, help="folder of this training")
    train.add_argument(
        "--only", action="append", default=[], metavar="COLUMN=VALUE", help="choose by index.csv beside the shards"
    )
    train.add_argument("--label", default="mine", help="the weights are called NETWORK:LABEL")
    train.add_argument("--summary", default="Trained here.", help="what the card says of the weights")
    train.add_argument("--licence", default="not stated", help="terms of the weights")
    train.add_argument("--data", default="", help="what the photographs are, and under which terms")
    train.add_argument("--full", action="store_true", help="keep weights in 32 bits")
    for name in ("encoder", "start"):
        train.add_argument(f"--{name}", type=Path, help=f"file of weights for the course's {name}")
    train.add_argument(
        "--perception", action="append", type=Path, help="classifier that compares pictures; may be given several times"
    )
    train.add_argument("--side", type=int, help="side of what DDColor sees, in pixels")
    train.add_argument(
        "--no-colorfulness", dest="colorfulness", action="store_const", const=False,
        help="leave out DDColor's loss on colourfulness",
    )  # fmt: skip
    for name in ("steps", "batch", "seed", "accumulate", "look-every", "save-every", "looked-at", "readers"):
        train.add_argument(f"--{name}", type=int)
    for name in ("rate", "ema", "max-bad"):
        train.add_argument(f"--{name}", type=float)
    train.add_argument("--device", help="cpu, cuda or cuda:1; none takes a GPU where there is one")
    train.add_argument("--no-amp", dest="amp", action="store_false", help="compute in 32 bits on a GPU too")
    train.add_argument("--threads", type=int, default=max(1, len(os.sched_getaffinity(0))), help="threads of the CPU")
    train.add_argument("--tensorboard", action="store_true", help="write for TensorBoard beside log.csv")
    pack = commands.add_parser("pack", help="pack photographs into tar shards")
    pack.set_defaults(does=_pack)
    pack.add_argument("photos")
    pack.add_argument("out", type=Path)
    for name, value in (("side", 256), ("quality", 90), ("megabytes", 60), ("seed", 0)):
        pack.add_argument(f"--{name}", type=int, default=value)
    return parser


if __name__ == "__main__":
    sys.exit(main())
