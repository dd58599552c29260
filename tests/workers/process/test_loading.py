"""What computes is loaded beside the first work, which needs none of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from db.errors import InputError
from db.settings import Settings
from db.states import TaskKind
from workers import device
from workers.process.loading import Loading


def test_a_worker_that_answers_doorbells_and_probes_has_not_loaded_torch() -> None:
    script = (
        "import sys; from workers.process import app; from workers.tasks import probe; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_what_is_loaded_is_what_torch_says_of_itself(tmp_path: Path) -> None:
    torch.set_num_threads(2)
    loading = Loading(Settings(home=tmp_path, device="cpu"))
    assert loading.signature == ""
    loading.check()
    equipment = loading.equipment()
    assert loading.begin().done()
    assert (equipment.device, equipment.versions["torch"]) == ("cpu", torch.__version__)
    assert equipment.signature == loading.signature == device.signature("cpu")
    assert set(equipment.work) == set(TaskKind)
    assert torch.get_num_threads() == 1


def test_a_device_that_is_not_there_is_named_to_whoever_asks(tmp_path: Path) -> None:
    loading = Loading(Settings(home=tmp_path, device="cuda:200"))
    with pytest.raises(InputError, match="cuda:200"):
        loading.equipment()
    assert loading.signature == ""
    with pytest.raises(InputError, match="cuda:200"):
        loading.check()
