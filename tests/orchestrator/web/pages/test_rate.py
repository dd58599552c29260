"""What raters get: pairs one after the other, by a link alone, and nothing that tells where a picture comes from."""

from __future__ import annotations

import pytest
from starlette.types import ASGIApp

from db import ledger, studies
from db.ledger.studying import NewStudy, StudyItem, StudyVariant
from db.session import Database
from db.states import Choice
from orchestrator.judging.study_report import study_report
from orchestrator.web.entrance import MOST_FAILURES
from orchestrator.web.pages.rate import COOKIE
from orchestrator.web.site import Site
from orchestrator.web.study_making import pad
from tests.support.rater import Rater
from tests.support.visitor import Visitor

ASKED_BY = "Ada Lovelace"
"""Longer than what the letters of a random link or cookie spell by chance."""
TELLING = (
    "denoise_AIcolor",
    "left_alone",
    "Box 7",
    "reel/Berlin-1931.mkv",
    "studies/",
    "generation",
    "Denoisers",
    ASKED_BY,
)
GOOD, BAD = b"RIFF\x00\x00\x00\x00WEBPgood", b"RIFF\x00\x00\x00\x00WEBPbad, and longer"
MOTIFS = 5


@pytest.fixture
def link(site: Site, home_database: Database, job_id: int) -> str:
    """The path of a study that compares two variants of five motifs."""
    items = []
    for number in range(MOTIFS):
        keys = {"denoise_AIcolor": f"studies/s/{number}g.webp", "left_alone": f"studies/s/{number}b.webp"}
        for name, data in pad({"denoise_AIcolor": GOOD, "left_alone": BAD}).items():
            site.store.put_bytes(keys[name], data)
        items.append(StudyItem(f"reel/Berlin-1931.mkv #{number}", keys))
    variants = [StudyVariant(name, {"job_id": job_id, "generation": 1}) for name in ("denoise_AIcolor", "left_alone")]
    opened = ledger.open_study(home_database, NewStudy("Denoisers", "Which?", variants, items, ASKED_BY, 3, 0.0, 0.2))
    return f"/rate/{opened.link}"


@pytest.fixture
def rater(app: ASGIApp, link: str) -> Rater:
    return Rater(Visitor(app), link)


def prefer_good(left: bytes, right: bytes) -> Choice:
    if (b"good" in left) == (b"good" in right):
        return Choice.NONE
    return Choice.LEFT if b"good" in left else Choice.RIGHT


def test_whoever_has_the_link_sees_the_question_and_begins(rater: Rater) -> None:
    assert "Which?" in rater.get().words
    assert rater.send("/begin").status == 303
    assert "Pair 1 of up to 6." in rater.get().words


def test_a_rater_judges_all_pairs_and_is_thanked(rater: Rater, home_database: Database) -> None:
    assert rater.judge_all(prefer_good) == MOTIFS + 1
    assert "You judged 6 pairs" in rater.get().words
    report = study_report(home_database, 1)
    assert (report.counts.votes, report.checks.alike.count) == (6, 1)
    assert {vote.kind: {vote.left if vote.choice is Choice.LEFT else vote.right} for vote in studies.votes(
        home_database, 1
    ) if vote.choice is not Choice.NONE} == {"normal": {"denoise_AIcolor"}}  # fmt: skip


def test_nothing_that_a_rater_gets_tells_where_a_picture_comes_from(rater: Rater) -> None:
    rater.judge_all(prefer_good)
    rater.get("/pictures/none")
    rater.send("/vote", ("position", "0"), ("choice", "left"))
    assert len(rater.answers) > 20
    for answer in rater.answers:
        said = f"{answer.headers} {answer.content!r}".lower()
        assert [word for word in TELLING if word.lower() in said] == []


def test_both_pictures_of_a_pair_are_equally_long_and_bear_no_mark(rater: Rater) -> None:
    rater.send("/begin")
    left, right = rater.pictures()
    assert len(left.content) == len(right.content)
    assert left.content != right.content or b"good" in left.content
    assert left.headers == right.headers
    assert dict(left.headers).keys() & {"etag", "last-modified", "content-disposition", "x-frame"} == set()
    assert (left.headers["content-type"], left.headers["cache-control"]) == ("image/webp", "no-store")


def test_what_is_only_looked_at_draws_and_changes_nothing(rater: Rater, home_database: Database) -> None:
    rater.get()
    assert rater.cookies == {}
    known = Rater(rater.visitor, rater.path, {COOKIE: "k" * 43})
    for _ in range(2):
        assert "Begin" in known.get().words
    rater.send("/begin")
    first = [rater.get().html.xpath("//img/@src") for _ in range(3)]
    assert first[0] == first[1] == first[2]
    assert studies.counts(home_database, 1).votes == 0


def test_beginning_again_goes_on_with_the_pair_that_waits(rater: Rater) -> None:
    rater.send("/begin")
    waits = rater.get().html.xpath("//img/@src")
    known = dict(rater.cookies)
    rater.send("/begin")
    assert rater.get().html.xpath("//img/@src") == waits
    assert rater.cookies == known


def test_a_choice_stands_and_there_is_no_way_back(rater: Rater, home_database: Database) -> None:
    rater.send("/begin")
    rater.choose(Choice.LEFT)
    again = rater.send("/vote", ("position", "0"), ("choice", "right"))
    assert again.headers["location"] == rater.path
    assert [vote.choice for vote in studies.votes(home_database, 1)] == [Choice.LEFT]
    assert "Pair 2" in rater.get().words


def test_a_vote_on_a_pair_that_was_not_shown_counts_for_nothing(rater: Rater, home_database: Database) -> None:
    assert rater.send("/vote", ("position", "0"), ("choice", "left")).status == 303
    assert studies.counts(home_database, 1).votes == 0


@pytest.mark.parametrize(
    "fields", [(("position", "0"),), (("position", "0"), ("choice", "both")), (("position", "x"),)]
)
def test_a_vote_that_is_none_is_told_on_a_page_of_the_raters_own(
    rater: Rater, fields: tuple[tuple[str, str], ...]
) -> None:
    page = rater.send("/vote", *fields)
    assert page.status == 422
    assert page.html.find(".//nav") is None


def test_a_raters_cookie_is_kept_from_scripts_and_other_pages(rater: Rater) -> None:
    said = rater.send("/begin").headers["set-cookie"].lower()
    assert said.startswith(f"{COOKIE}=")
    for part in ("httponly", "samesite=strict", f"path={rater.path.lower()}"):
        assert part in said


def test_two_browsers_are_two_raters(app: ASGIApp, link: str, home_database: Database) -> None:
    for choice in (Choice.LEFT, Choice.RIGHT):
        one = Rater(Visitor(app), link)
        one.send("/begin")
        one.choose(choice)
    assert studies.counts(home_database, 1).raters == 2


def test_a_browser_without_cookies_is_told_so(rater: Rater) -> None:
    place = rater.send("/begin").headers["location"]
    rater.cookies.clear()
    assert "does not keep the cookie" in rater.get(place.removeprefix(rater.path)).words


def test_a_picture_is_shown_to_nobody_but_the_rater_whose_pair_it_is_in(rater: Rater, app: ASGIApp) -> None:
    rater.send("/begin")
    (name, _) = rater.get().html.xpath("//img/@src")
    other = Rater(Visitor(app), rater.path)
    assert other.get(name.removeprefix(rater.path)).status == 404
    other.send("/begin")
    shown = set(other.get().html.xpath("//img/@src"))
    assert name in shown or other.get(name.removeprefix(rater.path)).status == 404


@pytest.mark.parametrize("name", ["%00", "..%2f..%2freelwright.db", "x" * 500, "%ff", "é"])
def test_a_picture_of_no_name_is_not_there(rater: Rater, name: str) -> None:
    rater.send("/begin")
    assert rater.get(f"/pictures/{name}").status == 404


def test_a_link_that_leads_nowhere_is_a_page_of_its_own_and_tries_are_counted(app: ASGIApp, link: str) -> None:
    guesser = Rater(Visitor(app), "/rate/guess")
    page = guesser.get()
    assert (page.status, "UNKNOWN_STUDY" in page.words) == (404, True)
    assert page.html.find(".//nav") is None
    statuses = [guesser.get().status for _ in range(MOST_FAILURES)]
    assert statuses[-1] == 429
    assert Rater(Visitor(app), link).get().status == 200


def test_a_closed_study_says_that_it_is_over(rater: Rater, home_database: Database) -> None:
    rater.send("/begin")
    (name, _) = rater.get().html.xpath("//img/@src")
    ledger.close_study(home_database, 1, "ada")
    vote = rater.send("/vote", ("position", "0"), ("choice", "left"))
    for page in (rater.get(), rater.send("/begin"), vote, rater.get(name.removeprefix(rater.path))):
        assert (page.status, "It is over" in page.words) == (409, True)
    assert studies.counts(home_database, 1).votes == 0


def test_another_page_cannot_make_a_browser_vote(rater: Rater) -> None:
    page = rater.visitor.ask("POST", f"{rater.path}/begin", headers={"Sec-Fetch-Site": "cross-site"})
    assert page.status == 403


def test_who_is_logged_in_sees_no_more_than_other_raters(operator: Visitor, link: str) -> None:
    page = Rater(operator, link).get()
    assert page.html.find(".//nav") is None
    assert ASKED_BY not in page.text
