"""A study's pictures, made by a real child process: equal in size and length, or left out, and never half a study."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import delete, select

from db import session, studies
from db.errors import InputError, ReelwrightError
from db.session import Database
from db.settings import Settings
from db.tables import Study, Trial
from orchestrator.web import looking, serving, study_making
from orchestrator.web.background import Cancelled, Order
from orchestrator.web.site import Site
from orchestrator.web.study_making import MadeStudy, StudyOrder, VariantOrder
from tests.support.photos import photo_job
from tests.support.visitor import ADDRESS

pytestmark = pytest.mark.real_process


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One home for all tests here: to start the process that makes pictures takes most of their time."""
    return Settings(home=tmp_path_factory.mktemp("studies") / "home")


@pytest.fixture(scope="module")
def home_database(settings: Settings) -> Iterator[Database]:
    with session.open_database(settings) as database:
        session.upgrade(database)
        yield database


@pytest.fixture(scope="module")
def site(settings: Settings, home_database: Database) -> Iterator[Site]:
    with serving.open_site(settings, home_database, ADDRESS, is_open=False) as made:
        yield made


@pytest.fixture(scope="module")
def photos(settings: Settings, home_database: Database) -> int:
    return photo_job(settings.home.parent / "photos", settings, home_database)


@pytest.fixture(autouse=True)
def clean(site: Site, home_database: Database) -> None:
    """No study and no picture of one."""
    site.store.delete("studies/")
    with home_database.write() as connection:
        for table in (Trial, Study):
            connection.execute(delete(table))


def order_of(job_id: int, *generations: int | None, **more: Any) -> StudyOrder:
    variants = [VariantOrder(name=f"g{number}", job_id=job_id, generation=number) for number in generations]
    return StudyOrder(name="Soft or not", variants=variants, width=200, seed=5, **more)


def make(site: Site, order: StudyOrder, report: Order | None = None) -> MadeStudy:
    study_making.check(site, order)
    return study_making.make(site, "ada", order, report or Order("1", "study", "ada", 0.0))


def motifs(database: Database) -> dict[str, list[str]]:
    """Keys of pictures by motif."""
    with database.read() as connection:
        rows = connection.execute(select(Trial.external_id, Trial.picture_a, Trial.picture_b)).all()
    return {row.external_id: [row.picture_a, row.picture_b] for row in rows}


@pytest.fixture
def kept(site: Site) -> Callable[[], list[str]]:
    """All pictures of studies in the store."""
    return lambda: sorted(site.store.keys("studies/"))


def test_pictures_of_a_motif_are_equal_in_size_and_length_and_different(
    site: Site, photos: int, home_database: Database, kept: Callable[[], list[str]]
) -> None:
    made = make(site, order_of(photos, 1, 2, repeat_share=0, identical_share=0))
    assert (made.trials, made.motifs, made.left_out_count) == (3, 3, 2)
    assert {each.item: each.why for each in made.left_out}.keys() == {"tall", "once"}
    shown = motifs(home_database)
    assert set(shown) == {"a", "b", "gone"}  # what was made can be shown without its source
    assert sorted(key for pair in shown.values() for key in pair) == kept()
    for keys in shown.values():
        data = [(site.settings.home / "store" / key).read_bytes() for key in keys]
        assert len(data[0]) == len(data[1])
        pictures = [np.asarray(Image.open(io.BytesIO(each)).convert("RGB"), int) for each in data]
        assert pictures[0].shape == pictures[1].shape == (150, 200, 3)
        assert np.abs(pictures[0] - pictures[1]).mean() > 5
        assert all(b"EXIF" not in each and b"XMP" not in each and b"ICCP" not in each for each in data)


def test_a_source_is_compared_with_what_was_made_of_it(site: Site, photos: int, home_database: Database) -> None:
    variants = [VariantOrder(name="before", job_id=photos, of="source"), VariantOrder(name="after", job_id=photos)]
    made = make(site, StudyOrder(name="x", variants=variants, ids=["a", "a", "gone", "nobody"], width=200))
    assert (made.motifs, set(motifs(home_database))) == (1, {"a"})
    why = {each.item: each.why for each in made.left_out}
    assert why["nobody"] == "not in every job"
    assert "gone.png" in why["gone"]


def test_the_same_seed_draws_the_same_trials(site: Site, photos: int, home_database: Database) -> None:
    first, second = (make(site, order_of(photos, 1, 2)) for _ in range(2))
    with home_database.read() as connection:
        rows = connection.execute(select(Trial.study_id, Trial.external_id, Trial.kind, Trial.variant_a)).all()
    assert [row[1:] for row in rows if row[0] == first.id] == [row[1:] for row in rows if row[0] == second.id]
    assert first.link != second.link


@pytest.mark.parametrize(
    ("generations", "more", "code"),
    [((1, 9), {}, "NOTHING_SELECTED"), ((1, 2), {"ids": ["nobody"]}, "NOTHING_SELECTED"), ((1, 1), {}, "BAD_VALUE")],
)
def test_what_cannot_be_compared_is_refused_and_leaves_nothing(
    site: Site, photos: int, home_database: Database, kept: Callable[[], list[str]],
    generations: tuple[int, ...], more: dict[str, Any], code: str,
) -> None:  # fmt: skip
    with pytest.raises(InputError) as refusal:
        make(site, order_of(photos, *generations, **more))
    assert refusal.value.code == code
    assert (kept(), studies.study_page(home_database).rows) == ([], ())


def test_a_job_that_is_not_there_is_said_at_once(site: Site, photos: int) -> None:
    with pytest.raises(InputError, match="99"):
        study_making.check(site, order_of(99, 1, 2))


def test_a_server_that_makes_no_pictures_refuses_at_once(
    site: Site, photos: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "can_show_here", lambda: False)
    with pytest.raises(InputError) as refusal:
        study_making.check(site, order_of(photos, 1, 2))
    assert refusal.value.code == "WORKER_EXTRA_MISSING"


def test_a_study_that_is_stopped_takes_its_pictures_along(
    site: Site, photos: int, home_database: Database, kept: Callable[[], list[str]]
) -> None:
    seen: list[int] = []

    class Impatient(Order):
        def advance(self, done: int, total: int | None = None) -> None:
            seen.append(len(kept()))
            if done == 2:
                self.stopped.set()
            super().advance(done, total)

    with pytest.raises(Cancelled):
        make(site, order_of(photos, 1, 2), Impatient("1", "study", "ada", 0.0))
    assert max(seen) > 0
    assert (kept(), studies.study_page(home_database).rows) == ([], ())


def test_a_store_that_is_away_ends_it_and_is_not_taken_for_a_bad_item(
    site: Site, photos: int, home_database: Database, settings: Settings
) -> None:
    (settings.home / "store" / "studies").write_bytes(b"a file where a folder is needed")
    with pytest.raises(ReelwrightError) as fault:
        make(site, order_of(photos, 1, 2))
    (settings.home / "store" / "studies").unlink()
    assert not isinstance(fault.value, InputError)
    assert studies.study_page(home_database).rows == ()
