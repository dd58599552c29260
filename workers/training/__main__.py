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

from db.errors import InputError, ReelwrightError, os_error
from workers import malloc
from workers.training import export, packing, photos, tasks
from workers.training.photos import Photos
from workers.training.trainer import Trainer, TrainingPlan, TrainingProgress

_HELD_OUT_EVERY = 20
_REPORT_SECONDS = 5.0
_TASK_OPTIONS = ("encoder", "perception", "start", "side", "colorfulness")


def main(arguments: list[str] | None = None) -> int:
    """Do as the arguments say; returns the exit status."""
    options = _parser().parse_args(arguments)
    reporter = _JsonReporter() if options.json else _LineReporter()
    try:
        return int(options.does(options, reporter))
    except InputError as error:
        reporter.on_error(error)
        return 2
    except OSError as error:
        reporter.on_error(os_error("The system", error))
        return 2


def _train(options: argparse.Namespace, reporter: _LineReporter) -> int:
    malloc.keep_freed()
    torch.set_num_threads(options.threads)
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks > 1:
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        _run_training(options, reporter)
    finally:
        if ranks > 1:
            torch.distributed.destroy_process_group()
    return 0


def _run_training(options: argparse.Namespace, reporter: _LineReporter) -> None:
    export.check_label(options.label)
    task = tasks.training_task(
        options.network, options.seed or 0, **{name: getattr(options, name) for name in _TASK_OPTIONS}
    )
    plan = TrainingPlan.from_defaults(
        task.defaults, **{field.name: getattr(options, field.name) for field in fields(TrainingPlan)}
    )
    training_photos, validation_photos = _open_photos(options)
    rank_reporter = reporter if int(os.environ.get("RANK", "0")) == 0 else _SilentReporter()
    board = (
        _TensorBoardWriter(options.out)
        if options.tensorboard and not isinstance(rank_reporter, _SilentReporter)
        else None
    )

    def report_progress(progress: TrainingProgress) -> None:
        rank_reporter.on_progress(progress)
        if board is not None:
            board.write_progress(progress)

    trainer = Trainer(
        task, training_photos, validation_photos, options.out, plan, device=options.device, on_progress=report_progress
    )
    export.check_places(trainer, options.label)
    rank_reporter.on_begin(trainer)
    trainer.train()
    if trainer.rank == 0:
        card_text = export.CardText(options.label, options.summary, options.license, options.data)
        path = export.write_weights(trainer, card_text, half=not options.full)
        rank_reporter.on_end(trainer, json.loads(path.with_suffix(".json").read_text("utf-8")), path)


def _open_photos(options: argparse.Namespace) -> tuple[Photos, Photos]:
    only = {}
    for pair in options.only:
        column, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--only {pair}: it takes COLUMN=VALUE", code="BAD_VALUE")
        only[column] = value
    pictures = photos.open_photos(options.photos, only, source_roots=options.source_root)
    if options.held_out is not None:
        return pictures, photos.open_photos(options.held_out, source_roots=options.source_root)
    if len(pictures) < _HELD_OUT_EVERY:
        raise InputError(
            f"{options.photos}: {len(pictures)} pictures are too few to hold some out", code="BAD_VALUE",
            remedy="Give others to judge by with --held-out.",
        )  # fmt: skip
    return pictures.split(_HELD_OUT_EVERY)


def _pack(options: argparse.Namespace, reporter: _LineReporter) -> int:
    pictures = photos.open_photos(options.photos, source_roots=options.source_root)
    result = packing.pack(
        pictures, options.out, side=options.side, quality=options.quality,
        megabytes=options.megabytes, seed=options.seed, on_progress=reporter.on_packed,
    )  # fmt: skip
    reporter.write_document(
        {"shards": [str(path) for path in result.shards], "pictures": result.pictures, "unreadable": result.unreadable}
    )
    return 0


class _LineReporter:
    """Says how it goes in lines for people."""

    def __init__(self) -> None:
        self._last_report = 0.0

    def on_begin(self, trainer: Trainer) -> None:
        where = f"goes on at step {trainer.step}" if trainer.step else f"{len(trainer.photos)} photographs"
        self._print(f"{trainer.course.name} on {trainer.device}: {where}, {trainer.plan.steps} steps")

    def on_progress(self, progress: TrainingProgress) -> None:
        if progress.judged is None and not self._is_due() and progress.step < progress.steps:
            return
        parts = " ".join(f"{name} {value:.4g}" for name, value in progress.parts.items())
        rate = f"{progress.samples_per_second:.1f} a second, {progress.seconds_left / 60:.0f} min left"
        figures = " ".join(f"{name} {value:.4g}" for name, value in (progress.judged or {}).items())
        self._print(f"step {progress.step} of {progress.steps}  {parts}  {rate}  {figures}".rstrip())

    def on_end(self, trainer: Trainer, card: dict[str, Any], path: Path) -> None:
        self._print(f"{'':24}{'before':>12}{'after':>12}")
        for name, value in card["figures"].items():
            before = card["figures_before"].get(name)
            self._print(f"{name:24}{'' if before is None else format(before, '.3f'):>12}{value:>12.3f}")
        self._print(f"{path}\nreelwright models add {path}")

    def on_packed(self, done: int, total: int) -> None:
        if self._is_due():
            self._print(f"{done} of {total} pictures")

    def write_document(self, document: dict[str, Any]) -> None:
        for name, value in document.items():
            self._print(f"{name}: {value}")

    def on_error(self, error: ReelwrightError) -> None:
        print(f"{error.code}: {error.message} {error.remedy}".strip(), file=sys.stderr)  # noqa: T201 -- what people read

    def _is_due(self) -> bool:
        now = time.monotonic()
        if now - self._last_report < _REPORT_SECONDS:
            return False
        self._last_report = now
        return True

    def _print(self, text: str) -> None:
        print(text, flush=True)  # noqa: T201 -- what people read


class _JsonReporter(_LineReporter):
    """Says the same in one JSON document a line."""

    def on_begin(self, trainer: Trainer) -> None:
        self.write_document({"begin": trainer.course.name, "device": str(trainer.device), "step": trainer.step,
                       "steps": trainer.plan.steps, "batch": trainer.plan.batch, "photos": len(trainer.photos),
                       "before": trainer.before})  # fmt: skip

    def on_progress(self, progress: TrainingProgress) -> None:
        if progress.judged is not None or self._is_due() or progress.step == progress.steps:
            self.write_document(asdict(progress))

    def on_end(self, trainer: Trainer, card: dict[str, Any], path: Path) -> None:
        self.write_document({"card": card, "path": str(path)})

    def on_packed(self, done: int, total: int) -> None:
        if self._is_due():
            self.write_document({"done": done, "total": total})

    def write_document(self, document: dict[str, Any]) -> None:
        self._print(json.dumps(document))

    def on_error(self, error: ReelwrightError) -> None:
        self.write_document({"code": error.code, "message": error.message, "remedy": error.remedy})


class _SilentReporter(_LineReporter):
    """Says nothing: another process says it."""

    def _print(self, text: str) -> None:
        pass


class _TensorBoardWriter:
    """Writes the same for TensorBoard."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                "TensorBoard is not installed on this machine", code="WORKER_EXTRA_MISSING",
                remedy="pip install tensorboard, or follow log.csv in the training's folder.",
            ) from error  # fmt: skip
        self._writer: Any = SummaryWriter(str(folder / "tensorboard"))

    def write_progress(self, progress: TrainingProgress) -> None:
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
    train.add_argument("--license", "--licence", default="not stated", help="terms of the weights")
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
    for command in (train, pack):
        command.add_argument(
            "--source-root", action="append", default=[], help="another folder to read photographs from"
        )
    for name, value in (("side", 256), ("quality", 90), ("megabytes", 60), ("seed", 0)):
        pack.add_argument(f"--{name}", type=int, default=value)
    return parser


if __name__ == "__main__":
    sys.exit(main())
