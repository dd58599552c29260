"""Studies on pages: from the form to a link, from three raters to a ranking and its CSV; the same by programs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from db import ledger
from db.session import Database
from db.settings import Settings
from db.states import Choice
from orchestrator.judging.davidson import Ranking, Standing
from orchestrator.web.pages.study import StudyForm, bars
from tests.support.photos import photo_job, sharpness
from tests.support.rater import Rater
from tests.support.servers import wait_until
from tests.support.visitor import Page, Visitor

pytestmark = pytest.mark.real_process


@pytest.fixture
def photos(tmp_path: Path, settings: Settings, home_database: Database) -> int:
    return photo_job(tmp_path / "photos", settings, home_database)


def fill(page: Page, **typed: Any) -> list[tuple[str, str]]:
    """Fields of the form, with what was typed in place of what stands there; lists go down the table."""
    form = page.html.xpath("//form[@action='/studies']")[0]
    filled = {name: iter(value) for name, value in typed.items() if isinstance(value, list)}
    fields = []
    for each in form.inputs:
        value = next(filled[each.name], each.value or "") if each.name in filled else typed.get(each.name, each.value)
        fields += [(each.name, value or "")] if each.name else []
    return fields


def send_form(operator: Visitor, job_id: int, **typed: Any) -> Page:
    twice = {"name": "Soft or not", "job": [str(job_id)] * 2, "of": ["master"] * 2, "generation": ["1", "2"]}
    return operator.send("/studies", fill(operator.get("/studies/new"), **{**twice, "width": "200", **typed}))


def opened(operator: Visitor, place: str) -> Page:
    wait_until(lambda: not operator.get(place).html.xpath("//*[@data-waiting]"), 60, "the pictures are made")
    return operator.get(place)


def prefer_sharp(left: bytes, right: bytes) -> Choice:
    difference = sharpness(left) - sharpness(right)
    return Choice.NONE if abs(difference) < 0.5 else Choice.LEFT if difference > 0 else Choice.RIGHT


def test_a_study_goes_from_the_form_to_a_ranking_by_three_raters(
    operator: Visitor, viewer: Visitor, app: ASGIApp, photos: int
) -> None:
    place = send_form(operator, photos, variant=["sharp", "soft"]).headers["location"]
    page = opened(operator, place)
    assert "3 pairs of 3 motifs are ready" in page.words
    assert "its pictures have different shapes" in page.words
    assert operator.get(place).words == page.words  # looking at it does not spend the link

    shown = operator.send(f"{place}/link")
    (link,) = shown.html.xpath("//input[@id='link']/@value")
    assert link.startswith(f"{operator.address.url}/rate/")
    secret = link.rpartition("/")[2]
    assert "shown already" in operator.send(f"{place}/link").words
    assert secret not in operator.get(place).text + operator.get("/studies").text

    for judge in (prefer_sharp, prefer_sharp, lambda left, right: Choice.NONE):
        rater = Rater(Visitor(app), f"/rate/{secret}")
        assert rater.judge_all(judge) == 3
        assert not [answer for answer in rater.answers if "sharp" in answer.text or "Box 7" in answer.text]

    page = operator.get("/studies/1")
    ranked = [" ".join(each.text_content().split()) for each in page.html.xpath("//table[caption]//tbody//th")]
    assert ranked == ["sharp", "soft"]
    assert len(page.html.xpath("//svg//line")) == 2
    assert "all9 votes" in page.words
    rows = list(csv.DictReader(io.StringIO(operator.get("/api/v1/studies/1/votes.csv").text)))
    assert len(rows) == 9
    assert [row["chosen"] for row in rows].count("sharp") == 6
    assert {row["rater"] for row in rows} == {"r1", "r2", "r3"}
    assert "Soft or not" in viewer.get("/studies").words
    assert viewer.get("/studies/1").status == 403


def test_a_study_is_closed_after_a_question(operator: Visitor, home_database: Database) -> None:
    link = open_small(home_database)
    (form,) = operator.get("/studies/1").html.xpath("//form[@action='/studies/1/close']")
    assert "Nobody can judge any more" in form.getparent().text_content()
    closed = operator.get(operator.send(form.action).headers["location"])
    assert "The study is closed" in closed.words
    assert closed.html.xpath("//form[@action='/studies/1/close']") == []
    assert operator.get(f"/rate/{link}").status == 409


def open_small(database: Database, shares: tuple[float, float] = (0.0, 0.0)) -> str:
    """A study of three variants of one motif; returns its link's secret."""
    names = ("x", "y", "<b>z</b>")
    item = ledger.StudyItem("m", {name: f"studies/s/{place}.webp" for place, name in enumerate(names)})
    variants = [ledger.StudyVariant(name, {}) for name in names]
    return ledger.open_study(database, ledger.NewStudy("Small", "Which?", variants, [item], "ada", 1, *shares)).link


def test_why_there_is_no_ranking_is_said(operator: Visitor, home_database: Database) -> None:
    open_small(home_database)
    assert "There is no ranking:" in operator.get("/studies/1").words


def test_one_rater_gives_a_ranking_without_intervals(operator: Visitor, home_database: Database) -> None:
    open_small(home_database)
    while pair := ledger.next_trial(home_database, 1, "r"):
        ledger.vote(home_database, 1, "r", pair.position, Choice.LEFT)
    page = operator.get("/studies/1")
    assert "needs two raters" in page.words
    assert "<b>z</b>" in page.words
    assert len(page.html.xpath("//svg//circle")) == 3
    assert page.html.xpath("//svg//line") == []
    assert "3 of 3" in page.words  # all of them for the left side


def test_bars_lie_on_one_scale_and_inside_it() -> None:
    standings = (Standing("a", 1.0, 0.5, 2.0, 3, 0, 0), Standing("b", -1.0, None, None, 0, 0, 3))
    first, second = bars(Ranking(standings, 0.0, 2, 3))
    assert second.low == second.at == second.high < first.low < first.at < first.high
    assert second.at > 0
    assert first.high < 100


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"job": ["9", "9"]}, "UNKNOWN_JOB"),
        ({"job": ["", ""], "generation": ["", ""]}, "variants"),
        ({"generation": ["1", "1"], "variant": ["p", "q"]}, "two of them show the same"),
        ({"variant": ["p", "p"]}, "a name of its own"),
        ({"generation": ["x", "2"]}, "variants 1 generation"),
        ({"name": " "}, "name"),
        ({"width": "9"}, "width"),
    ],
)
def test_what_is_wrong_with_the_form_is_said_on_it_and_nothing_typed_is_lost(
    operator: Visitor, photos: int, typed: dict[str, Any], said: str
) -> None:
    page = send_form(operator, photos, **{"question": "Which one?", **typed})
    assert page.status == 422
    assert said in page.html.xpath("//div[@role='alert']")[0].text_content()
    assert page.html.xpath("//input[@name='question']/@value") == ["Which one?"]


def test_variants_without_a_name_are_called_by_where_they_come_from() -> None:
    form = StudyForm(name="x", job=["3", " 3 ", "", "4"], of=["source", "master", "master", ""], generation=["", "2"])
    assert [(each.name, each.job_id, each.of, each.generation) for each in form.order().variants] == [
        ("source of job 3", 3, "source", None),
        ("job 3, generation 2", 3, "master", 2),
        ("job 4", 4, "master", None),
    ]


def test_a_study_of_nothing_says_why(operator: Visitor, photos: int) -> None:
    page = opened(operator, send_form(operator, photos, generation=["8", "9"]).headers["location"])
    assert "NOTHING_SELECTED" in page.words
    assert "there are 1, 2" in page.words


def test_who_only_looks_opens_no_study(viewer: Visitor, home_database: Database) -> None:
    open_small(home_database)
    assert viewer.get("/studies/new").status == 403
    assert viewer.get("/studies").links().count("/studies/1") == 0


def test_programs_open_a_study_watch_it_and_read_what_it_came_to(operator: Visitor, app: ASGIApp, photos: int) -> None:
    variants = [{"name": f"g{number}", "job_id": photos, "generation": number} for number in (1, 2)]
    order = {"name": "By program", "variants": variants, "width": 200, "seed": 4}
    asked = operator.ask("POST", "/api/v1/studies", json=order)
    assert asked.status == 202
    place = asked.headers["location"]
    wait_until(lambda: json.loads(operator.get(place).text)["state"] == "done", 60, "the study is open")
    result = json.loads(operator.get(place).text)["result"]
    assert Rater(Visitor(app), f"/rate/{result['link']}").judge_all(prefer_sharp) == result["trials"]
    report = json.loads(operator.get(f"/api/v1/studies/{result['id']}").text)
    assert report["counts"]["votes"] == result["trials"]
    assert [each["name"] for each in report["ranking"]["standings"]] == ["g1", "g2"]
    assert json.loads(operator.get("/api/v1/studies").text)["studies"][0]["seed"] == 4
    assert json.loads(operator.send(f"/api/v1/studies/{result['id']}/close").text)["state"] == "closed"
    assert operator.ask("POST", "/api/v1/studies", json={**order, "variants": variants[:1]}).status == 422


@pytest.mark.parametrize("path", ["/studies/7", "/studies/openings/x", "/studies/7/votes.csv"])
def test_what_is_not_there_is_told(operator: Visitor, path: str) -> None:
    for inside in ("", "/api/v1"):
        assert operator.get(inside + path).status == 404
