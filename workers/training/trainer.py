"""Walks through a course: steps, averages, looks, saves, and goes on where it stopped.

A training is known by its folder. Which photographs a step sees, and how, follows from the seed and the number of the
sample alone; so a training that was killed and goes on comes to the same weights as one that was not.
"""

from __future__ import annotations

import contextlib
import copy
import csv
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from db.errors import InputError
from db.placing import Placer, create, file_digest
from workers.training.photos import Photos
from workers.training.samples import Samples
from workers.training.task import Batch, Defaults, TrainingTask

_STATE = "state.pt"
_LOG = "log.csv"
_RISE = 0.02
_MOST_BAD_STEPS = 20
"""Steps in a row whose loss or gradient is no number before training gives up."""
_CLIP_NORM = 1.0


@dataclass(frozen=True)
class TrainingPlan:
    """How to train. Nothing here changes what one step computes on another machine, save rounding."""

    steps: int
    batch: int
    rate: float
    seed: int = 0
    accumulate: int = 1
    """Parts into which a batch is cut so that it fits the memory."""
    ema: float = 0.999
    """How slowly the kept average follows the weights."""
    amp: bool = True
    """Half precision (bfloat16) where a GPU computes."""
    look_every: int = 500
    """Steps between looks at photographs that are not trained on."""
    save_every: int = 250
    looked_at: int = 64
    """Photographs of such a look."""
    readers: int | None = None
    """Processes that prepare views ahead; 0 does without, none takes one, or one a core where a GPU computes."""
    max_bad: float = 0.02
    """Share of the photographs that may be unreadable."""

    @classmethod
    def from_defaults(cls, defaults: Defaults, **overrides: Any) -> TrainingPlan:
        """Return a course's own plan, but for what is chosen (none means not chosen)."""
        plan = cls(steps=defaults.steps, batch=defaults.batch, rate=defaults.rate, ema=defaults.ema)
        return replace(plan, **{name: value for name, value in overrides.items() if value is not None})


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training is; given to whoever shows it."""

    step: int
    steps: int
    loss: float
    parts: Mapping[str, float]
    samples_per_second: float
    seconds_left: float
    judged: Mapping[str, float] | None = None


class Trainer:
    """A course, photographs to train on and to be judged by, and a folder for all that comes of it."""

    def __init__(
        self,
        course: TrainingTask[Any],
        photos: Photos,
        held_out: Photos,
        folder: Path,
        plan: TrainingPlan | None = None,
        *,
        device: str | None = None,
        on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
    ) -> None:
        """Begin a training, or take up the one that the folder holds.

        Args:
            course: What is learnt.
            photos: What is trained on.
            held_out: What the network is judged by.
            folder: Where state, log and weights go.
            plan: How; none takes the course's habits.
            device: ``cpu``, ``cuda`` or ``cuda:1``; none takes a GPU where there is one.
            on_progress: Called after every step.

        Raises:
            InputError: ``TRAINING_DIFFERS`` when the folder holds a training of another course, plan or photographs.
            InputError: ``ALREADY_THERE`` when what would be written is there and no training's.
        """
        self.course, self.photos, self.held_out, self.folder = course, photos, held_out, folder
        self.plan = plan or TrainingPlan.from_defaults(course.defaults)
        self.rank, self.ranks = _rank_and_count()
        if self.plan.batch % (self.plan.accumulate * self.ranks):
            parts = self.plan.accumulate * self.ranks
            raise InputError(f"A batch of {self.plan.batch} cannot be cut into {parts} parts", code="BAD_VALUE")
        self.device = torch.device(device or _default_device())
        self.step, self.seconds = 0, 0.0
        self.before: dict[str, float] = {}
        """Figures before the first step."""
        self._on_progress = on_progress
        folder.mkdir(parents=True, exist_ok=True)
        state = self._read_state()
        # What was read as this training's state is its own, whichever release wrote it.
        made = () if state is None else (file_digest(str(folder / _STATE)),)
        self.placer = Placer(folder, sources=photos.files, made=lambda: made)
        """Puts what the training makes in its place, and never in that of anything else."""
        if state is None:
            self.placer.check(str(folder / _LOG))
        if state is None:
            torch.manual_seed(self.plan.seed)
            course.prepare(photos)
        self._move_networks()
        self._average: nn.Module = copy.deepcopy(course.network).eval().requires_grad_(False)
        self._optimizers = self._build_optimizers()
        if state is not None:
            self._restore_state(state)
        elif self.rank == 0:
            self.before = self.evaluate(self.plan.looked_at)
            self.save()

    # -- for the caller

    @property
    def network(self) -> nn.Module:
        """The kept average of the weights, in eval mode."""
        return self._average

    def evaluate(self, count: int | None = None) -> dict[str, float]:
        """Return the course's figures on the photographs that were held out, or on an even part of them."""
        photos = self.held_out if count is None else self.held_out.subset(count)
        return self.course.figures(self._average, photos)

    def train(self, until: int | None = None) -> None:
        """Train to the plan's last step, or to an earlier one, and save.

        Raises:
            InputError: ``NOT_FINITE`` when losses are no numbers any more, ``CORRUPT`` when too many photographs
                cannot be read.
        """
        last = min(self.plan.steps, self.plan.steps if until is None else until)
        start_time, first_step, bad, seconds_before = time.monotonic(), self.step, 0, self.seconds
        learner, critic = self._wrap_parallel(self.course.learner), self._wrap_parallel(self.course.critic)
        for batch in self._batches(last):
            loss, parts = self._run_step(learner, critic, batch)
            bad = 0 if math.isfinite(loss) else bad + 1
            if bad >= _MOST_BAD_STEPS:
                raise InputError(
                    f"The loss was no number for {bad} steps up to step {self.step}", code="NOT_FINITE",
                    remedy="Train again in an empty folder with a lower --rate.",
                )  # fmt: skip
            self.step += 1
            self._check_photos()
            self.seconds = seconds_before + time.monotonic() - start_time
            seconds = max(1e-9, time.monotonic() - start_time) / (self.step - first_step)
            figures = None
            if self.step % self.plan.look_every == 0 and self.rank == 0:
                figures = self.evaluate(self.plan.looked_at)
            progress = TrainingProgress(
                self.step,
                self.plan.steps,
                loss,
                parts,
                self.plan.batch / seconds,
                seconds * (self.plan.steps - self.step),
                figures,
            )
            if self.rank == 0:
                self._write_log(progress)
                self._on_progress(progress)
            if self.step % self.plan.save_every == 0 and math.isfinite(loss):
                self.save()
        self.save()

    def save(self) -> None:
        """Write all that is needed to go on. A kill while it is written leaves the one before."""
        if self.rank:
            return
        state = {
            "identity": self._identity(),
            "step": self.step,
            "seconds": self.seconds,
            "before": self.before,
            "network": self.course.network.state_dict(),
            "average": self._average.state_dict(),
            "critic": self.course.critic.state_dict() if self.course.critic is not None else None,
            "optimizers": [each.state_dict() for each in self._optimizers],
            "course": self.course.state(),
            "bad": self.photos.bad,
        }
        target = str(self.folder / _STATE)
        with self.placer.fresh_name(target) as fresh:
            with open(create(fresh), "wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            self.placer.put(fresh, target)

    # -- a step

    def _run_step(self, learner: nn.Module, critic: nn.Module | None, batch: Batch) -> tuple[float, dict[str, float]]:
        # Dropout draws anew at every step, and as it would have drawn without a kill before.
        torch.manual_seed((self.plan.seed * 1_000_003 + self.step) * self.ranks + self.rank)
        rate = self.plan.rate * _share_of_rate(self.course.defaults, self.step, self.plan.steps)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
            optimizer.zero_grad(set_to_none=True)
        self.course.network.train()
        pieces = [
            dict(zip(batch, each, strict=True))
            for each in zip(*(value.chunk(self.plan.accumulate) for value in batch.values()), strict=True)
        ]
        total, parts = 0.0, dict[str, float]()
        turns = [(learner, self.course.loss)] + ([(critic, self.course.critic_loss)] if critic is not None else [])
        fine = True
        for (module, losses), optimizer in zip(turns, self._optimizers, strict=True):
            for number, piece in enumerate(pieces):
                with self._no_sync(module, number < len(pieces) - 1), self._autocast():
                    loss, loss_parts = losses(module, piece)
                    torch.autograd.backward(loss / len(pieces))
                total += float(loss.detach()) / len(pieces) if losses == self.course.loss else 0.0
                for name, value in loss_parts.items():
                    parts[name] = parts.get(name, 0.0) + value / len(pieces)
            norm = nn.utils.clip_grad_norm_(
                [p for group in optimizer.param_groups for p in group["params"]], _CLIP_NORM
            )
            fine = fine and bool(torch.isfinite(norm))
            if fine:
                optimizer.step()
            if critic is not None:
                critic.zero_grad(set_to_none=True)
        if not fine:
            return math.nan, parts
        self._update_average()
        return total, parts

    @torch.no_grad()
    def _update_average(self) -> None:
        keep = min(self.plan.ema, (1 + self.step) / (10 + self.step))
        pairs = list(zip(self._average.state_dict().values(), self.course.network.state_dict().values(), strict=True))
        float_pairs = [(own, new) for own, new in pairs if own.is_floating_point()]
        # All at once: hundreds of small tensors one by one are as many kernels to start at every step.
        follow = get_ema_multi_avg_fn(keep)  # type: ignore[no-untyped-call]
        follow([own for own, _ in float_pairs], [new for _, new in float_pairs], 0)
        for own, new in pairs:
            if not own.is_floating_point():
                own.copy_(new)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        on = self.plan.amp and self.device.type == "cuda"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=on)

    def _no_sync(self, module: nn.Module, more_to_come: bool) -> contextlib.AbstractContextManager[Any]:
        """Between parts of a batch processes need not agree yet."""
        if more_to_come and isinstance(module, nn.parallel.DistributedDataParallel):
            return module.no_sync()
        return contextlib.nullcontext()

    # -- photographs

    def _batches(self, last: int) -> Iterator[Batch]:
        """Batches for the steps to come, prepared ahead of the network."""
        per_rank = self.plan.batch // self.ranks
        samples = Samples(self.course, self.photos, self.plan.seed, self.plan.batch, per_rank, self.rank * per_rank)
        readers = self.plan.readers
        if readers is None:
            cores = len(os.sched_getaffinity(0))
            readers = max(1, cores // self.ranks) if self.device.type == "cuda" else 1
        for batch in samples.batches(range(self.step, last), readers, self.device):
            yield {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}

    def _check_photos(self) -> None:
        if len(self.photos.bad) > max(1, self.plan.max_bad * len(self.photos)):
            name, why = next(iter(self.photos.bad.items()))
            raise InputError(
                f"{self.photos.origin}: {len(self.photos.bad)} of {len(self.photos)} cannot be read; {name}: {why}",
                code="CORRUPT", remedy="Mend or remove them, or raise --max-bad.",
            )  # fmt: skip

    # -- networks, state

    def _move_networks(self) -> None:
        for module in (self.course.learner, self.course.critic):
            if module is not None:
                module.to(self.device).to(memory_format=torch.channels_last)

    def _wrap_parallel(self, module: nn.Module | None) -> Any:
        if module is None or self.ranks == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=devices, broadcast_buffers=True)

    def _build_optimizers(self) -> list[torch.optim.Optimizer]:
        defaults = self.course.defaults
        groups = [{"params": list(group.parameters), "share": group.rate} for group in self.course.groups()]
        optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, self.plan.rate, betas=defaults.betas, weight_decay=defaults.weight_decay)
        ]
        if self.course.critic is not None:
            against = [{"params": list(self.course.critic.parameters()), "share": 1.0}]
            optimizers.append(torch.optim.Adam(against, self.plan.rate, betas=defaults.betas))
        return optimizers

    def _identity(self) -> dict[str, Any]:
        """What a training must have in common with the one that it goes on with."""
        plan = asdict(self.plan)
        shaping = {name: plan[name] for name in ("steps", "batch", "rate", "seed", "ema")}
        return {"course": self.course.name, "photos": self.photos.digest(), "count": len(self.photos), **shaping}

    def _read_state(self) -> dict[str, Any] | None:
        path = self.folder / _STATE
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, "cpu", weights_only=True)
            before, now = dict(state["identity"]), self._identity()
        except Exception as error:
            raise InputError(
                f"{path}: the state of this training cannot be read ({error})", code="BAD_CHECKPOINT",
                remedy="Remove it to begin anew.",
            ) from error  # fmt: skip
        differs = sorted(name for name in now if before.get(name) != now[name])
        if differs:
            was = ", ".join(f"{name} was {before.get(name)}, is {now[name]}" for name in differs)
            raise InputError(
                f"{self.folder}: holds another training ({was})", code="TRAINING_DIFFERS",
                remedy="Give it a folder of its own, or the same options as before.",
            )  # fmt: skip
        return state

    def _restore_state(self, state: Mapping[str, Any]) -> None:
        self.step, self.seconds, self.before = int(state["step"]), state["seconds"], state["before"]
        self.course.network.load_state_dict(state["network"])
        self._average.load_state_dict(state["average"])
        if self.course.critic is not None:
            self.course.critic.load_state_dict(state["critic"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.course.load_state(state["course"])
        self.photos.bad.update(state["bad"])

    def _write_log(self, progress: TrainingProgress) -> None:
        log = os.open(self.folder / _LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with open(log, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if not os.fstat(log).st_size:
                writer.writerow(("step", "name", "value"))
            rows = {"loss": progress.loss, **progress.parts, "samples_per_second": progress.samples_per_second}
            rows |= {f"held_out/{name}": value for name, value in (progress.judged or {}).items()}
            writer.writerows((progress.step, name, f"{value:.6g}") for name, value in rows.items())


def _share_of_rate(defaults: Defaults, step: int, steps: int) -> float:
    rise = min(1.0, (step + 1) / max(1, _RISE * steps))
    if defaults.schedule == "halved":
        return 0.5 ** sum(step >= share * steps for share in defaults.halved_at)
    return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))


def _default_device() -> str:
    if torch.cuda.is_available():
        return f"cuda:{int(os.environ.get('LOCAL_RANK', '0'))}"
    return "cpu"


def _rank_and_count() -> tuple[int, int]:
    """This process's number among those that train together, and how many there are."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
