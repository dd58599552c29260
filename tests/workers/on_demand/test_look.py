"""The right frame, whatever was asked for before; what stands behind each is read by PyAV or Pillow from end to end."""

from __future__ import annotations

import io
import random
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from db.errors import InputError
from db.records import ItemResult, ItemView, Substitute
from db.s3 import connect
from db.settings import Settings
from db.states import ItemKind
from db.store import keys
from tests.support import sequences
from tests.support.reels import House, film, frame_of, house, item, moving, planes_of, probed, whole_life
from tests.support.servers import S3
from workers.on_demand import look
from workers.tasks.restore_still import restore_still


class Viewer:
    """Asks one looker, and reads what it wrote."""

    def __init__(self, at: House) -> None:
        self.at, self._looker = at, look.Looker(at.settings)
        self.folder = at.folder / "looks"
        self.folder.mkdir()
        self.answer: dict[str, Any] = {}

    def __call__(self, item_: ItemView, frame: int = 0, of: str = "source", **more: Any) -> NDArray[Any]:
        fields = {"item": item_, "of": of, "frame": frame, "folder": str(self.folder), **more}
        self.answer = self._looker.answer(look.LookOrder.model_validate(fields))
        path = Path(self.answer["file"])
        with Image.open(path) as opened:
            found = np.asarray(opened)
        path.unlink()
        assert found.shape[:2] == (self.answer["height"], self.answer["width"])
        return found

    def master(self, item_: ItemView, result: ItemResult, frame: int, **more: Any) -> NDArray[Any]:
        blobs = {"master": result.outputs["master"], "sums": result.outputs["framemd5"]}
        return self(item_, frame, "master", **(blobs | more))

    @property
    def left_over(self) -> list[str]:
        self._looker.close()
        return [path.name for path in self.folder.iterdir()]


@pytest.fixture
def view(tmp_path: Path) -> Viewer:
    return Viewer(house(tmp_path))


def _in_any_order(count: int, looks: int = 100) -> list[int]:
    numbers = random.Random(5).choices(range(count), k=looks // 2)
    # Steps forward and back too, as somebody with arrow keys takes them.
    return [*numbers, *range(9, 9 + looks // 4), *range(8 + looks // 4, 8, -1)]


def test_a_hundred_of_a_hundred_frames_are_the_right_ones(view: Viewer, tmp_path: Path) -> None:
    frames = moving(60)
    item_, result = whole_life(view.at, item(film(tmp_path / "a.mkv", frames, "gray")), 24)
    for number in _in_any_order(60):
        assert np.array_equal(view(item_, number), frames[number][0])
        assert np.array_equal(view.master(item_, result, number), frames[number][0])
        assert view.answer["frame"] == number
    assert (view.answer["frames"], view.answer["picture"]) == (60, (32, 24))
    assert view.left_over == []


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [("libx264", "mp4", {"bf": "2", "g": "40"}), ("mpeg4", "avi", {}), ("mpeg2video", "mpg", {"bf": "2", "g": "12"})],
)
def test_films_whose_frames_follow_from_one_another(
    view: Viewer, tmp_path: Path, codec: str, suffix: str, options: dict[str, str]
) -> None:
    luma = [frame[0] for frame in moving(60, 48, 64)]
    planes = [[plane, plane[::2, ::2] * 0 + 128, plane[::2, ::2] * 0 + 128] for plane in luma]
    path = film(tmp_path / f"a.{suffix}", planes, "yuv420p", codec=codec, rate=Fraction(25), options=options)
    with av.open(str(path)) as opened:
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]).astype(np.float32)
    item_, result = whole_life(view.at, item(path), 24)
    for number in _in_any_order(len(decoded), 60):
        for found in (view(item_, number), view.master(item_, result, number)):
            assert np.abs(decoded - found).mean((1, 2, 3)).argmin() == number


@pytest.mark.parametrize(("pixel_format", "bits"), [("gray10le", 10), ("gray16le", 16), ("gbrp10le", 10)])
def test_deep_samples_are_shown_in_eight_bits(view: Viewer, tmp_path: Path, pixel_format: str, bits: int) -> None:
    frames = moving(9, channels=3 if "gbrp" in pixel_format else 1, bits=bits)
    item_, result = whole_life(view.at, item(film(tmp_path / "a.mkv", frames, pixel_format)))
    for number in (8, 0, 5):
        planes = [frames[number][channel] for channel in ((2, 0, 1) if len(frames[0]) == 3 else (0,))]
        expected = np.rint(np.stack(planes, 2) / (2**bits - 1) * 255).squeeze()
        for found in (view(item_, number), view.master(item_, result, number)):
            assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize(("suffix", "bits"), [(".png", 8), (".dpx", 10), (".tif", 16)])
def test_an_image_sequence_shows_its_files(view: Viewer, tmp_path: Path, suffix: str, bits: int) -> None:
    (tmp_path / "s").mkdir()
    files = [sequences.samples(number, 3, bits) for number in range(12)]
    for number, pixels in enumerate(files):
        sequences.write(tmp_path / "s" / f"f_{number:04d}{suffix}", pixels, bits if bits == 10 else 0)
    part = sequences.numbered(suffix, 0, 11)
    item_, result = whole_life(view.at, item(tmp_path / "s", sequence=part, transfer="gamma"))
    for number in random.Random(2).choices(range(12), k=20):
        expected = np.rint(files[number] / (2**bits - 1) * 255)
        assert np.abs(view(item_, number) - expected).max() <= 1
        assert np.abs(view.master(item_, result, number) - expected).max() <= 1


def test_a_span_is_counted_from_its_own_first_frame(view: Viewer, tmp_path: Path) -> None:
    frames = moving(30)
    item_, result = whole_life(view.at, item(film(tmp_path / "a.mkv", frames, "gray"), span=(7, 22)))
    for number in (14, 0, 3):
        assert np.array_equal(view(item_, number), frames[7 + number][0])
        assert np.array_equal(view.master(item_, result, number), frames[7 + number][0])


def test_uneven_and_hasty_frames_are_told_apart(view: Viewer, tmp_path: Path) -> None:
    frames = moving(12)
    uneven = film(tmp_path / "a.mkv", frames, "gray", pts=[0, 2, 3, 50, 51, 300, 340, 341, 342, 343, 900, 1800])
    hasty = film(tmp_path / "b.mov", frames, "gray", rate=Fraction(500), codec="png")
    for path in (uneven, hasty):
        item_, result = whole_life(view.at, item(path))
        for number in (11, 0, 4, 8, 1, 7, 2):
            assert np.array_equal(view.master(item_, result, number), planes_of(path)[number][0])


def test_what_is_shown_in_place_of_a_bad_frame_is_shown(view: Viewer, tmp_path: Path) -> None:
    frames = moving(8)
    swap = (Substitute(frame=5, use=4, reason="died"), Substitute(frame=6, use=None, reason="died"))
    item_, result = whole_life(view.at, item(film(tmp_path / "a.mkv", frames, "gray"), substitutes=swap))
    assert np.array_equal(view(item_, 5), frames[4][0])
    assert not view.master(item_, result, 6).any()


def test_woven_fields_are_shown_as_the_whole_frames_that_were_restored(view: Viewer, tmp_path: Path) -> None:
    frames = moving(24, height=32)
    for upper, lower in zip(frames[::2], frames[1::2], strict=True):
        upper[:, 1::2] = lower[:, 1::2]
    path = film(tmp_path / "a.mkv", frames[::2], "gray")
    item_, result = whole_life(view.at, item(path, "[{deinterlace: {field_order: top}}]"))
    assert item_.facts is not None
    assert item_.facts.mezzanine is not None
    for number in (item_.facts.frame_count - 1, 0, 4):
        assert np.array_equal(view(item_, number), view.master(item_, result, number))


def test_a_reel_whose_header_turns_it_is_shown_upright(view: Viewer, tmp_path: Path) -> None:
    frames, path = moving(5, 16, 24), tmp_path / "a.mov"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=16, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 24, 16, "gray"
        stream.set_display_rotation(90)
        for number, frame in enumerate(frames):
            picture = frame_of(list(frame), "gray")
            picture.pts = number
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    item_, result = whole_life(view.at, item(path))
    for number in (4, 1):
        # Counter-clockwise; the codec keeps the values as they are, and says that they use the limited range.
        expected = np.clip(np.rint((np.rot90(frames[number][0]) - 16.0) / 219 * 255), 0, 255)
        for found in (view(item_, number), view.master(item_, result, number)):
            assert np.abs(found.reshape(24, 16, -1) - expected[..., None]).max() <= 1


def test_what_lies_in_s3_is_read_by_ranges(tmp_path: Path, s3: S3) -> None:
    at, name = house(tmp_path), "looks"
    frames = moving(20)
    item_, result = whole_life(at, item(film(tmp_path / "a.mkv", frames, "gray")))
    assert item_.facts is not None
    client = connect(Settings(**s3.settings))
    client.create_bucket(Bucket=name)
    client.upload_file(str(tmp_path / "a.mkv"), name, "films/a.mkv")
    for blob in (item_.facts.index, *result.outputs.values()):
        client.upload_file(str(at.path(blob)), name, f"archive/{blob.key}")
    view = Viewer(House(tmp_path, Settings(home=tmp_path / "home", store_uri=f"s3://{name}/archive", **s3.settings)))
    source = item_.source.model_copy(update={"uri": f"s3://{name}/films/a.mkv"})
    there = item_.model_copy(update={"source": source})
    for number in (19, 3, 4):
        assert np.array_equal(view(there, number), frames[number][0])
        assert np.array_equal(view.master(there, result, number), frames[number][0])
    assert not [path for path in view.folder.rglob("*") if path.suffix == ".mkv"]


# -- regions and sizes


def test_a_region_is_cut_enlarged_by_whole_pixels_and_made_smaller_by_means(view: Viewer, tmp_path: Path) -> None:
    frames = moving(3)
    item_ = probed(view.at, item(film(tmp_path / "a.mkv", frames, "gray")))
    part = frames[1][0][4:12, 6:22]
    assert np.array_equal(view(item_, 1, region=(6, 4, 16, 8)), part)
    assert np.array_equal(view(item_, 1, region=(6, 4, 16, 8), width=64), part.repeat(4, 0).repeat(4, 1))
    smaller = view(item_, 1, region=(6, 4, 16, 8), width=8)
    assert np.abs(smaller - part.reshape(4, 2, 8, 2).mean((1, 3))).max() <= 0.5
    assert view(item_, 1, region=(6, 4, 16, 8), width=4000).shape == (64, 128)


@pytest.mark.parametrize("region", [(-1, 0, 4, 4), (0, 0, 33, 4), (0, 21, 4, 4), (0, 0, 0, 4), (31, 0, 2, 1)])
def test_a_region_that_is_not_there_is_refused(view: Viewer, tmp_path: Path, region: look.Region) -> None:
    item_ = probed(view.at, item(film(tmp_path / "a.mkv", moving(3), "gray")))
    with pytest.raises(InputError, match="do not lie in 32x24") as wrong:
        view(item_, region=region)
    assert wrong.value.code == "BAD_VALUE"


@pytest.mark.parametrize("wrong", [{"frame": 3}, {"frame": -1}, {"width": 0}, {"width": 4097}, {"of": "master"}])
def test_what_cannot_be_shown_is_refused(view: Viewer, tmp_path: Path, wrong: dict[str, Any]) -> None:
    item_ = probed(view.at, item(film(tmp_path / "a.mkv", moving(3), "gray")))
    with pytest.raises(InputError) as refused:
        view(item_, **wrong)
    assert refused.value.code == "BAD_VALUE"
    assert view(item_, 2).shape == (24, 32)


def test_an_enlarged_master_is_cut_where_the_source_is(view: Viewer, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(3), "gray")
    item_, result = whole_life(view.at, item(path, "[{upscale: {scale: 2}}]"))
    whole = view.master(item_, result, 1, width=64)
    assert view.answer["picture"] == (32, 24)
    assert np.array_equal(view.master(item_, result, 1, region=(6, 4, 16, 8), width=32), whole[8:24, 12:44])


# -- stills


def _still(view: Viewer, path: Path, **more: Any) -> tuple[ItemView, ItemResult]:
    item_ = item(path, kind=ItemKind.STILL, **more)
    return item_, restore_still(item_, view.at.bench())


def test_a_still_stands_upright_and_its_profile_is_followed(view: Viewer, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a street"
    wide = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    rgb = np.moveaxis(moving(1, 16, 24, channels=3)[0], 0, 2).copy()
    Image.fromarray(rgb).save(tmp_path / "a.png", exif=exif)
    item_, result = _still(view, tmp_path / "a.png")
    for found in (view(item_), view(item_, of="master", master=result.outputs["still"])):
        assert np.array_equal(found, np.rot90(rgb, -1))
    # A profile for other channels says nothing of these.
    Image.fromarray(rgb).save(tmp_path / "b.png", icc_profile=wide.tobytes())
    assert np.array_equal(view(_still(view, tmp_path / "b.png")[0]), rgb)


def test_a_profile_whose_red_is_green_is_seen(view: Viewer, tmp_path: Path) -> None:
    """The sRGB profile with its colorants exchanged: what is red by it must come out green."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = data.index(b"rXYZ"), data.index(b"gXYZ")
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[..., 0] = 255
    for name in ("a.png", "b.jpg"):
        Image.fromarray(pixels).save(tmp_path / name, icc_profile=bytes(data))
        found = view(item(tmp_path / name, kind=ItemKind.STILL))
        assert found.reshape(-1, 3).mean(0).argmax() == 1


def test_stills_of_sixteen_bits_floats_and_pages_are_shown(view: Viewer, tmp_path: Path) -> None:
    deep = moving(1, 16, 16, bits=16)[0][0]
    Image.fromarray(deep).save(tmp_path / "a.png")
    assert np.abs(view(item(tmp_path / "a.png", kind=ItemKind.STILL)) - deep / 257).max() <= 1
    light = np.linspace(0, 1.5, 16 * 16 * 3, dtype=np.float32).reshape(16, 16, 3)
    sequences.write(tmp_path / "a.exr", light)
    curve = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    found = view(item(tmp_path / "a.exr", kind=ItemKind.STILL))
    assert np.abs(found - np.clip(curve, 0, 1) * 255).max() <= 1
    first, second = (Image.fromarray(frame[0]) for frame in moving(2))
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    assert np.array_equal(view(item(tmp_path / "a.tif", kind=ItemKind.STILL), 1), np.asarray(second))
    assert view.answer["frames"] == 2


def test_a_shown_picture_says_nothing_of_its_file(view: Viewer, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a street"
    Image.fromarray(moving(1)[0][0]).save(tmp_path / "a.jpg", exif=exif, comment=b"by somebody", dpi=(300, 300))
    for form in ("png", "webp"):
        order = look.LookOrder(
            item=item(tmp_path / "a.jpg", kind=ItemKind.STILL), of="source", form=form, folder=str(view.folder)
        )
        answer = look.Looker(view.at.settings).answer(order)
        data = Path(answer["file"]).read_bytes()
        with Image.open(io.BytesIO(data)) as opened:
            assert (opened.format, answer["media_type"]) == (form.upper(), f"image/{form}")
            assert not opened.getexif()
            assert opened.info.keys() <= {"loop", "background", "timestamp", "duration"}
        assert b"street" not in data
        assert "a" not in Path(answer["file"]).stem.split("-")


def test_a_picture_may_be_stored_whatever_its_file_is_called(
    view: Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(moving(1)[0][0]).save(tmp_path / "a.png")
    monkeypatch.setattr(tempfile, "_get_candidate_names", lambda: iter(["_a", "_b", "_c"]))
    view(item(tmp_path / "a.png", kind=ItemKind.STILL))
    assert keys.check(Path(view.answer["file"]).name)


# -- what is not what it was


def test_a_source_that_is_gone_is_named_though_it_was_looked_at_before(view: Viewer, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(6), "gray")
    photo = tmp_path / "a.png"
    Image.fromarray(moving(1)[0][0]).save(photo)
    for item_ in (probed(view.at, item(path)), item(photo, kind=ItemKind.STILL)):
        view(item_)
        Path(item_.source.uri).unlink()
        with pytest.raises(InputError) as gone:
            view(item_)
        assert gone.value.code == "FILE_MISSING"
    assert view.left_over == []


def test_another_source_in_its_place_is_named(view: Viewer, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(6), "gray")
    item_ = probed(view.at, item(path))
    view(item_, 2)
    film(path, moving(6, seed=9), "gray")
    with pytest.raises(InputError) as changed:
        view(item_, 2)
    assert changed.value.code == "CHANGED_DURING_WORK"
    photo = tmp_path / "a.png"
    Image.fromarray(moving(1)[0][0]).save(photo)
    still, result = _still(view, photo)
    view(still, sha256=result.facts["sha256"])
    Image.fromarray(moving(1, seed=3)[0][0]).save(photo)
    with pytest.raises(InputError) as changed:
        view(still, sha256=result.facts["sha256"])
    assert changed.value.code == "CHANGED_DURING_WORK"


def test_a_source_outside_its_roots_is_not_opened(view: Viewer, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(6), "gray")
    item_ = probed(view.at, item(path))
    (tmp_path / "other").mkdir()
    source = item_.source.model_copy(update={"roots": (f"{tmp_path}/other/",)})
    with pytest.raises(InputError) as outside:
        view(item_.model_copy(update={"source": source}))
    assert outside.value.code == "PATH_UNSAFE"


def test_a_master_that_is_not_what_was_written_is_named(view: Viewer, tmp_path: Path) -> None:
    item_, result = whole_life(view.at, item(film(tmp_path / "a.mkv", moving(9), "gray")))
    _, other = whole_life(view.at, item(film(tmp_path / "b.mkv", moving(9, seed=4), "gray")))
    _, short = whole_life(view.at, item(film(tmp_path / "c.mkv", moving(5), "gray")))
    for wrong in (other, short):
        with pytest.raises(InputError) as differs:
            view.master(item_, result, 7, master=wrong.outputs["master"])
        assert differs.value.code == "FRAMES_DIFFER"
    view.at.path(result.outputs["master"]).unlink()
    with pytest.raises(InputError):
        view.master(item_, result, 7)


def test_what_is_open_is_let_go_of(view: Viewer, tmp_path: Path) -> None:
    items = [probed(view.at, item(film(tmp_path / f"{name}.mkv", moving(4), "gray"))) for name in "abcdefg"]
    for item_ in items:
        view(item_, 1)
    assert len(list(view.folder.iterdir())) <= 4
    assert view.left_over == []
