"""Files of weights: every published layout is understood, and nothing that a file names is ever run."""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from db.errors import InputError
from workers.models.checkpoints import formats
from workers.models.parts.storage import storage_bytes

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


class Runs:
    """Would write a file when it is unpickled."""

    def __init__(self, proof: Path, by: Callable[..., Any] = os.system) -> None:
        self.proof, self.by = proof, by

    def __reduce__(self) -> tuple[Any, ...]:
        return self.by, (f"touch {self.proof}" if self.by is os.system else f"open({str(self.proof)!r}, 'w')",)


def stepped(kind: type[torch.optim.Optimizer]) -> torch.optim.Optimizer:
    """An optimizer that has a state to be pickled."""
    weight = nn.Parameter(torch.ones(2))
    optimizer = kind([weight], lr=0.1)  # type: ignore[call-arg]
    weight.grad = torch.ones(2)
    optimizer.step()
    return optimizer


def saved(path: Path, document: Any, *, legacy: bool = False) -> Path:
    torch.save(document, path, _use_new_zipfile_serialization=not legacy)
    return path


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == STATE.keys() and all(torch.equal(found[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("document", "key"),
    [
        (STATE, ""),
        ({f"module.{key}": value for key, value in STATE.items()}, ""),
        ({"params": STATE}, "params"),
        ({"state_dict": {f"module.{key}": value for key, value in STATE.items()}, "epoch": 7}, "state_dict"),
        ({"model": STATE, "opt": {"lr": 1e-3, "momenta": [torch.zeros(2)]}}, "model"),
        ({"model": STATE, "opt": functools.partial(torch.optim.Adam, betas=(0.9, 0.99))}, "model"),
        ({"model": STATE, "opt": stepped(torch.optim.Adam)}, "model"),
        ({"model": STATE, "opt": [stepped(torch.optim.AdamW), stepped(torch.optim.SGD)]}, "model"),
    ],
)
def test_weights_are_found_wherever_training_programs_put_them(
    tmp_path: Path, document: Any, key: str, legacy: bool
) -> None:
    assert same(formats.read(saved(tmp_path / "w.pth", document, legacy=legacy))[key])


def test_safetensors_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    for name in ("w.safetensors", "w.pth"):
        save_file(STATE, tmp_path / name)
        assert same(formats.read(tmp_path / name)[""])


def test_a_bare_tensor_is_a_set_of_one(tmp_path: Path) -> None:
    found = formats.read(saved(tmp_path / "matrix.pt", torch.eye(3)))
    assert torch.equal(found[""][""], torch.eye(3))


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "wrap", [lambda evil: evil, lambda evil: {"params": STATE, "x": evil}, lambda evil: {**STATE, "b": [evil]}]
)
def test_a_file_that_would_run_code_is_named_and_runs_nothing(
    tmp_path: Path, wrap: Callable[[Any], Any], legacy: bool
) -> None:
    proof = tmp_path / "proof"
    path = saved(tmp_path / "evil.pth", wrap(Runs(proof)), legacy=legacy)
    with pytest.raises(InputError, match=r"posix\.system") as caught:
        formats.read(path)
    assert caught.value.code == "UNSAFE_CHECKPOINT"
    assert not proof.exists()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("by", [eval, exec])
@pytest.mark.parametrize("protocol", [2, 4])
def test_builtin_functions_are_named_and_not_called(
    tmp_path: Path, by: Callable[..., Any], protocol: int, legacy: bool
) -> None:
    proof, path = tmp_path / "proof", tmp_path / "evil.pth"
    document = {"params": STATE, "x": Runs(proof, by)}
    torch.save(document, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match=by.__name__) as caught:
        formats.read(path)
    assert caught.value.code == "UNSAFE_CHECKPOINT"
    assert not proof.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_plain_pickle_is_refused_by_what_it_names(tmp_path: Path, protocol: int) -> None:
    proof = tmp_path / "proof"
    (tmp_path / "raw.pth").write_bytes(pickle.dumps({"w": Runs(proof)}, protocol=protocol))
    with pytest.raises(InputError, match=r"posix\.system") as caught:
        formats.read(tmp_path / "raw.pth")
    assert caught.value.code == "UNSAFE_CHECKPOINT"
    assert not proof.exists()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_whole_pickled_module_is_refused(tmp_path: Path, legacy: bool) -> None:
    with pytest.raises(InputError, match=r"torch\.nn") as caught:
        formats.read(saved(tmp_path / "module.pth", nn.Linear(2, 2), legacy=legacy))
    assert caught.value.code == "UNSAFE_CHECKPOINT"


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95, 0.999])
def test_a_file_that_is_cut_off_is_said_to_be(tmp_path: Path, share: float, legacy: bool) -> None:
    path = saved(tmp_path / "w.pth", {"w": torch.rand(64, 64)}, legacy=legacy)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError) as caught:
        formats.read(path)
    assert caught.value.code == "BAD_CHECKPOINT"


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"0" * 40, b"<!doctype html><html>404</html>", b"PK\x03\x04" + b"\0" * 64,
     (500).to_bytes(8, "little") + b'{"a":', (2**40).to_bytes(8, "little") + b"{" * 20, b"\x80\x02}q\x00.",
     b"\x80\x04\x96" + (2**60).to_bytes(8, "little"), b"\x80\x02S'\\P'\n.", b"\x80\x02cos\nsystem"],
)  # fmt: skip
def test_what_is_no_file_of_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(InputError) as caught:
        formats.read(tmp_path / "w.pth")
    assert caught.value.code == "BAD_CHECKPOINT"


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 80]},
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
        {"dtype": "F32"},
        [],
    ],
)
@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_safetensors_whose_header_lies_are_refused(tmp_path: Path, entry: Any, name: str) -> None:
    header = json.dumps({"w": entry}).encode()
    (tmp_path / name).write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(InputError) as caught:
        formats.read(tmp_path / name)
    assert caught.value.code == "BAD_CHECKPOINT"


def test_an_archive_that_was_packed_anew_holds_the_same_numbers(tmp_path: Path) -> None:
    saved(tmp_path / "plain.pth", STATE)
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert same(formats.read(tmp_path / "packed.pth")[""])


def test_an_archive_of_something_else_is_no_file_of_weights(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "book.pth", "w") as archive:
        archive.writestr("chapter.txt", "It was a dark night.")
    with pytest.raises(InputError) as caught:
        formats.read(tmp_path / "book.pth")
    assert caught.value.code == "BAD_CHECKPOINT"


def test_a_file_that_would_unfold_to_many_times_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 50_000_000)
    with pytest.raises(InputError) as caught:
        formats.read(path)
    assert caught.value.code == "TOO_LARGE"


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.pth").open("wb") as file:
        file.truncate(9_000_000_000)  # a hole: it takes no room
    with pytest.raises(InputError) as caught:
        formats.read(tmp_path / "huge.pth")
    assert caught.value.code == "TOO_LARGE"


@pytest.mark.parametrize("name", ["gone.pth", ".", "a" * 300])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=name) as caught:
        formats.read(tmp_path / name)
    assert caught.value.code == "FILE_MISSING"


@pytest.fixture(scope="module")
def bytes_of_a_file(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("weights")
    saved(folder / "zip", {"params": STATE})
    saved(folder / "legacy", {"params": STATE}, legacy=True)
    save_file(STATE, folder / "safetensors")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(
    form=st.sampled_from(["zip", "pickle", "legacy", "safetensors"]),
    at=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6),
)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_ends_in_weights_or_in_a_code(
    bytes_of_a_file: dict[str, bytes], tmp_path: Path, form: str, at: list[tuple[float, int]]
) -> None:
    def damaged(data: bytes) -> bytes:
        found = bytearray(data)
        for place, value in at:
            found[int(place * len(found))] = value
        return bytes(found)

    path = tmp_path / "w.pth"
    if form == "pickle":  # in an archive whose checksums are right
        with zipfile.ZipFile(io.BytesIO(bytes_of_a_file["zip"])) as whole, zipfile.ZipFile(path, "w") as archive:
            for name in whole.namelist():
                data = whole.read(name)
                archive.writestr(name, damaged(data) if name.endswith("data.pkl") else data)
    else:
        path.write_bytes(damaged(bytes_of_a_file[form]))
    with suppress(InputError):  # any other exception is a failure
        formats.read(path)


def unfolding(*shape: int) -> torch.Tensor:
    return torch.zeros(1).expand(*shape)


@pytest.mark.parametrize(
    "document",
    [
        {"a.weight": unfolding(4096, 4096, 3, 3)},
        {"params": {"a.weight": torch.zeros(64).as_strided((64, 64, 9), (1, 0, 0))}},
        unfolding(1 << 30),
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_that_unfold_from_fewer_numbers_are_refused(tmp_path: Path, document: Any, legacy: bool) -> None:
    with pytest.raises(InputError, match="bytes are there") as caught:
        formats.read(saved(tmp_path / "w.pth", document, legacy=legacy))
    assert caught.value.code == "BAD_CHECKPOINT"


def test_tensors_that_share_their_numbers_count_once(tmp_path: Path) -> None:
    shared = torch.ones(4, 256)
    state = formats.read(saved(tmp_path / "w.pth", {f"{number}.weight": shared.T for number in range(9)}))[""]
    assert len(state) == 9
    assert storage_bytes(state) == shared.nbytes


def test_more_tensors_than_any_network_has_are_refused_before_they_are_made(tmp_path: Path) -> None:
    names = {f"{number:0150}": torch.zeros(0) for number in range(formats.MAX_TENSORS + 1)}
    save_file(names, tmp_path / "w.safetensors")
    for refused in (
        lambda: formats.read(tmp_path / "w.safetensors"),
        lambda: formats.metadata_text(tmp_path / "w.safetensors"),
    ):
        with pytest.raises(InputError, match="no known weights have more") as caught:
            refused()
        assert caught.value.code == "TOO_LARGE"
    with pytest.raises(InputError, match="no known weights have more"):
        formats.read(saved(tmp_path / "w.pth", dict.fromkeys(names, torch.zeros(1))))


def test_an_archive_of_too_many_tensors_is_refused_by_its_table(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("w/data.pkl", b"")
        for number in range(formats.MAX_TENSORS + 1):
            archive.writestr(f"w/data/{number}", b"")
    with pytest.raises(InputError, match="20,001 tensors"):
        formats.read(tmp_path / "w.pth")
