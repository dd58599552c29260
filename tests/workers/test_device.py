"""The machine: found, made deterministic, and told apart from others."""

import re

import cv2
import numpy as np
import pytest
import torch

from db.errors import InputError, OutOfMemoryError
from workers import device


def test_auto_finds_a_device_that_computes() -> None:
    name = device.open_device("auto")
    assert torch.ones(2, device=name).sum().item() == 2


def test_a_device_that_is_not_there_is_named() -> None:
    assert device.open_device("cpu") == "cpu"
    with pytest.raises(InputError, match="cuda:200") as caught:
        device.open_device("cuda:200")
    assert caught.value.code == "BAD_SETTING"


@pytest.mark.parametrize("name", ["cpu", *(["cuda:0"] if torch.cuda.is_available() else [])])
def test_frames_come_to_a_device_as_they_were(name: str) -> None:
    frames = np.random.default_rng(0).random((3, 1, 40, 64), np.float32)
    there = [device.upload(frames + number, name) for number in range(4)]
    assert all(str(each.device) == name for each in there)
    assert all(np.array_equal(each.cpu().numpy(), frames + number) for number, each in enumerate(there))


def test_settling_leaves_one_thread_and_exact_arithmetic() -> None:
    torch.set_num_threads(2)
    cv2.setNumThreads(2)
    device.make_deterministic("cpu")
    assert torch.get_num_threads() == 1
    assert cv2.getNumThreads() == 1
    assert not torch.backends.cudnn.benchmark
    assert not torch.backends.cuda.matmul.allow_tf32


def test_the_signature_is_stable_and_changes_with_what_changes_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    device.make_deterministic("cpu")
    first = device.signature("cpu")
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert device.signature("cpu") == first
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert device.signature("cpu") != first


def test_versions_name_every_library_that_computes_or_decodes() -> None:
    assert device.versions()["torch"] == torch.__version__
    assert set(device.versions()) == {
        "reelwright",
        "torch",
        "torchvision",
        "spandrel",
        "numpy",
        "opencv-python-headless",
        "pillow",
        "av",
        "OpenImageIO",
    }


def exhaust_torch() -> object:
    return torch.empty(10**15)


def exhaust_opencv() -> object:
    return cv2.resize(np.zeros((8, 8), np.float32), (300_000, 1_000_000))


def exhaust_numpy() -> object:
    return np.ones(10**15)


@pytest.mark.parametrize("exhaust", [exhaust_torch, exhaust_opencv, exhaust_numpy])
def test_every_library_running_out_of_memory_is_one_error(exhaust) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OutOfMemoryError, match="Memory ran out"), device.translate_memory_errors():
        exhaust()


def test_other_errors_pass_through() -> None:
    with pytest.raises(RuntimeError, match="something else"), device.translate_memory_errors():
        raise RuntimeError("something else")
