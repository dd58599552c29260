from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from db.errors import InputError
from tests.support import tf_bundle
from workers.models.checkpoints import tensor_bundle
from workers.models.checkpoints.crc32c import crc32c, mask_checksum
from workers.models.checkpoints.tensor_bundle import Bundle

DRAWN = np.random.Generator(np.random.PCG64(0))
TENSORS: dict[str, NDArray[Any]] = {
    "net.Sdense.Skernel:0/.ATTRIBUTES/VARIABLE_VALUE": DRAWN.standard_normal((7, 5), np.float32),
    "net.Sdense.Skernel.SExponentialMovingAverage:0/.ATTRIBUTES/VARIABLE_VALUE": DRAWN.standard_normal((7, 5)),
    "net.Sdense_1.Sbias:0/.ATTRIBUTES/VARIABLE_VALUE": np.arange(300, dtype=np.int32),
    "optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE": np.array(300_000),
    "save_counter": np.zeros((0, 3), np.float32),
}


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    path = tmp_path / "model-1"
    tf_bundle.write(path, TENSORS | {"_CHECKPOINTABLE_OBJECT_GRAPH": b"no tensor"})
    return path


def bitwise_crc32c(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ 0x82F63B78 * (state & 1)
    return state ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_checksums_are_those_of_the_standard(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 768, 5 * 256 + 3, 64 * 256, 20_011])
def test_checksums_of_any_length_are_those_of_bit_after_bit(size: int) -> None:
    data = np.random.Generator(np.random.PCG64(size)).bytes(size)
    assert crc32c(data) == bitwise_crc32c(data)


@pytest.mark.parametrize("snappy", [False, True])
@pytest.mark.parametrize("shards", [1, 3])
def test_what_was_written_is_read(tmp_path: Path, snappy: bool, shards: int) -> None:
    tf_bundle.write(tmp_path / "model-1", TENSORS, snappy=snappy, shards=shards)
    bundle = Bundle(tmp_path / "model-1")
    assert {name: entry.shape for name, entry in bundle.entries.items()} == {
        name: tensor.shape for name, tensor in TENSORS.items()
    }
    for name, tensor in bundle.read(TENSORS).items():
        assert tensor.dtype == TENSORS[name].dtype
        assert np.array_equal(tensor, TENSORS[name])


def test_a_compressed_index_is_smaller_and_unpacks_to_the_same() -> None:
    block = tf_bundle.pairs({f"some/long/scope/{number}": b"abcabcabcabcabc" * 9 for number in range(300)})
    packed = tf_bundle.packed(block)
    assert len(packed) < len(block) / 4
    assert tensor_bundle._decompress_snappy(packed) == block


def test_a_wrong_name_is_refused_with_the_nearest(prefix: Path) -> None:
    with pytest.raises(InputError, match="save_counter") as caught:
        Bundle(prefix).read(["save_count"])
    assert caught.value.code == "BAD_CHECKPOINT"


def test_text_is_no_tensor(prefix: Path) -> None:
    with pytest.raises(InputError, match="value type 7 is not supported"):
        Bundle(prefix).read(["_CHECKPOINTABLE_OBJECT_GRAPH"])


def test_a_missing_index_or_data_file_is_named(prefix: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"other\.index cannot be read"):
        Bundle(tmp_path / "other")
    Path(f"{prefix}.data-00000-of-00001").unlink()
    with pytest.raises(InputError, match=r"data-00000-of-00001 cannot be read"):
        Bundle(prefix).read(TENSORS)


def test_one_changed_bit_of_a_value_is_found(prefix: Path) -> None:
    data = Path(f"{prefix}.data-00000-of-00001")
    content = bytearray(data.read_bytes())
    content[40] ^= 1
    data.write_bytes(content)
    with pytest.raises(InputError, match="the checksum differs"):
        Bundle(prefix).read(TENSORS)


def test_a_data_file_that_was_cut_is_found(prefix: Path) -> None:
    data = Path(f"{prefix}.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(InputError, match="the file ends before byte"):
        Bundle(prefix).read(TENSORS)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (tf_bundle.entry(1, (3,), size=16), "16 bytes are not the size"),
        (tf_bundle.entry(1, (1 << 31, 1 << 31), size=1 << 40), "are not the size"),
        (tf_bundle.entry(1, (1 << 40,), size=4 << 40), "the file ends before byte"),
        (tf_bundle.entry(1, (4,), size=16, offset=1 << 62), "the file ends before byte"),
        (tf_bundle.entry(1, (4,), size=16, shard=1), "there are only 1 data files"),
        (tf_bundle.entry(1, (0, 1 << 62, 1 << 62)), "are not the size"),
        (tf_bundle.entry(14, (4,), size=8), "value type 14"),
        (tf_bundle.entry(1, (4,), size=16) + b"\x3a\x00", "in slices"),
    ],
)
def test_an_entry_that_cannot_be_true_is_refused(tmp_path: Path, message: bytes, said: str) -> None:
    prefix = tmp_path / "model"
    Path(f"{prefix}.index").write_bytes(tf_bundle.table({"": tf_bundle.header(1), "name": message}))
    Path(f"{prefix}.data-00000-of-00001").write_bytes(bytes(64))
    with pytest.raises(InputError, match=said):
        Bundle(prefix).read(["name"])


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ({"": tf_bundle.header(1, big_endian=True)}, "big-endian"),
        ({"": tf_bundle.header(0)}, "counts 0 data files"),
        ({"": tf_bundle.header(1 << 40)}, "data files"),
        ({"": tf_bundle.header(1), "n" * 5000: b""}, "too long"),
        ({"": tf_bundle.header(1), "n": b"\x12\xff"}, "ends too early"),
        ({"": tf_bundle.header(1), "n": b"\x0b"}, "a field of kind 3"),
        ({"": tf_bundle.header(1), "n": tf_bundle.entry(1, (1,) * 9)}, "too many dimensions"),
    ],
)
def test_an_index_that_cannot_be_true_is_refused(tmp_path: Path, messages: dict[str, bytes], said: str) -> None:
    (tmp_path / "model.index").write_bytes(tf_bundle.table(messages))
    with pytest.raises(InputError, match=said):
        Bundle(tmp_path / "model")


def test_a_block_that_unpacks_to_more_than_it_says_is_refused() -> None:
    bomb = tf_bundle.varint(100) + b"\x00a" + b"\xfe\x01\x00" * 1000
    with pytest.raises(tensor_bundle._DamagedIndex, match="longer than it says"):
        tensor_bundle._decompress_snappy(bomb)
    with pytest.raises(tensor_bundle._DamagedIndex, match="too large"):
        tensor_bundle._decompress_snappy(tf_bundle.varint(1 << 40) + b"\x00a")


@pytest.mark.parametrize("snappy", [False, True])
def test_no_damage_to_an_index_leads_to_another_error(tmp_path: Path, snappy: bool) -> None:
    """Bytes are changed at random and the checksum is put right, so that the parser itself meets them."""
    drawn = random.Random(5)
    tf_bundle.write(tmp_path / "model", TENSORS, snappy=snappy)
    whole = (tmp_path / "model.index").read_bytes()
    refused = 0
    for _ in range(600):
        content = bytearray(whole)
        for _ in range(drawn.choice((1, 1, 2, 8))):
            content[drawn.randrange(len(content))] = drawn.randrange(256)
        (tmp_path / "model.index").write_bytes(_checksums_put_right(content))
        try:
            bundle = Bundle(tmp_path / "model")
            bundle.read(bundle.entries)
        except InputError:
            refused += 1
    assert refused > 300


def test_an_index_cut_anywhere_is_refused(tmp_path: Path) -> None:
    tf_bundle.write(tmp_path / "model", TENSORS)
    whole = (tmp_path / "model.index").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "model.index").write_bytes(whole[:size])
        with pytest.raises(InputError):
            Bundle(tmp_path / "model")


def _checksums_put_right(content: bytearray) -> bytes:
    """Where the three blocks still lie as the footer says, give each the checksum of what it now holds."""
    at = 0
    try:
        numbers = []
        for _ in range(4):
            number, at = tensor_bundle._read_varint(bytes(content[-48:]), at)
            numbers.append(number)
    except tensor_bundle._DamagedIndex:
        return bytes(content)
    (meta, meta_size), (index, index_size) = numbers[:2], numbers[2:]
    for start, end in ((0, meta - 5), (meta, meta + meta_size), (index, index + index_size)):
        if 0 <= start < end and end + 5 <= len(content) - 48:
            struct.pack_into("<I", content, end + 1, mask_checksum(crc32c(bytes(content[start : end + 1]))))
    return bytes(content)
