"""What is read out of votes: a ranking, and how raters judged where the answer is known."""

from __future__ import annotations

import csv
import io
import random
import secrets
from dataclasses import replace

import pytest

from db import ledger, studies
from db.errors import InputError
from db.ledger.studying import NewStudy, StudyItem, StudyVariant
from db.session import Database
from db.states import Choice, TrialKind
from db.studies import VoteRow
from orchestrator.judging.study_report import rater_checks, study_report, write_votes
from orchestrator.manifest.cells import original

NAMES = ("classic", "=network", "source")
STUDY = NewStudy(
    name="s",
    question="Which is better?",
    variants=[StudyVariant(name, {}) for name in NAMES],
    items=[StudyItem(f"p{n}", {name: f"studies/{n}/{place}" for place, name in enumerate(NAMES)}) for n in range(10)],
    created_by="anna",
    seed=3,
    repeat_share=0.5,
    identical_share=0.2,
)
STRENGTH = dict(zip(NAMES, (2, 3, 1), strict=True))


def judge(database: Database, rater: str, count: int, *, always: Choice | None = None) -> None:
    """Votes of a rater who knows, the stronger one is better and equals are equal; or who always says one thing."""
    for _ in range(count):
        pair = ledger.next_trial(database, 1, rater)
        assert pair is not None
        keys = [studies.picture_key(database, 1, rater, name) for name in (pair.left, pair.right)]
        left, right = (STRENGTH[NAMES[int(str(key).split("/")[-1])]] for key in keys)
        choice = Choice.NONE if left == right else Choice.LEFT if left > right else Choice.RIGHT
        ledger.vote(database, 1, rater, pair.position, always or choice)


def test_who_knows_is_consistent_and_who_does_not_is_found_out(
    home_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "randbits", random.Random(5).getrandbits)  # sides fall alike in each run
    ledger.open_study(home_database, STUDY)
    for rater in ("one", "two", "three"):
        judge(home_database, rater, 40)
    judge(home_database, "four", 40, always=Choice.LEFT)
    report = study_report(home_database, 1)
    assert report.ranking is not None
    assert [standing.name for standing in report.ranking.standings] == ["=network", "classic", "source"]
    assert all(standing.low is not None and standing.low < standing.strength for standing in report.ranking.standings)
    assert report.counts.votes == report.checks.votes == 160
    assert [rater.rater for rater in report.raters] == ["r1", "r2", "r3", "r4"]
    for rater in report.raters[:3]:
        assert rater.same.count == rater.same.total > 3
        assert rater.alike.count == rater.alike.total > 2
        assert rater.ties.count == 0
        assert rater.left.low is not None
        assert rater.left.high is not None
        assert 0.25 < rater.left.count / rater.left.total < 0.75
        assert 0 < rater.left.low < rater.left.count / rater.left.total < rater.left.high < 1
    fourth = report.raters[3]
    assert (fourth.left.count, fourth.left.total, fourth.alike.count) == (40, 40, 0)
    assert fourth.left.low is not None
    assert fourth.left.low > 0.9
    assert fourth.same.count < fourth.same.total


def test_without_enough_votes_there_is_a_report_and_a_reason_in_place_of_a_ranking(home_database: Database) -> None:
    ledger.open_study(home_database, STUDY)
    report = study_report(home_database, 1)
    assert (report.ranking, report.raters, report.checks.left.low) == (None, (), None)
    assert "0 votes" in report.no_ranking
    judge(home_database, "one", 1)
    assert "1 votes" in study_report(home_database, 1).no_ranking
    with pytest.raises(InputError) as unknown:
        study_report(home_database, 2)
    assert unknown.value.code == "UNKNOWN_STUDY"


def test_raw_votes_come_as_a_table_from_which_the_ranking_can_be_made_anew(home_database: Database) -> None:
    ledger.open_study(home_database, STUDY)
    for rater in ("secret 1", "secret 2"):
        judge(home_database, rater, 40)
    file = io.StringIO()
    write_votes(home_database, 1, file)
    rows = [
        {name: original(cell) for name, cell in row.items()} for row in csv.DictReader(io.StringIO(file.getvalue()))
    ]
    assert len(rows) == 80
    assert {(row["study"], row["seed"]) for row in rows} == {("1", "3")}
    assert [row["position"] for row in rows if row["rater"] == "r2"] == [str(place) for place in range(40)]
    for row in rows:
        left, right = STRENGTH[row["left"]], STRENGTH[row["right"]]
        assert (row["kind"] == "identical") == (left == right)
        assert row["chosen"] == ("" if left == right else row["left"] if left > right else row["right"])
        assert row["choice"] == ("none" if left == right else "left" if left > right else "right")
        assert (row["kind"] == "repeat") == (row["repeat_of"] != "")
    assert "'=network" in file.getvalue()
    assert "secret" not in file.getvalue()
    assert not any(vote.rater in file.getvalue() for vote in studies.votes(home_database, 1))


def test_a_repetition_that_is_answered_from_the_other_side_counts_as_the_same() -> None:
    first = VoteRow(1, "p", TrialKind.NORMAL, None, "a", "b", "x", 0, True, Choice.LEFT, 0.0, 1.0)
    turned = replace(first, trial_id=2, kind=TrialKind.REPEAT, repeat_of=1, a_is_left=False, choice=Choice.RIGHT)
    same_side = replace(turned, choice=Choice.LEFT)
    of_another = replace(turned, rater="y")
    assert [(checks.same.count, checks.same.total) for checks in (
        rater_checks("", [first, turned]), rater_checks("", [first, same_side]), rater_checks("", [first, of_another]),
    )] == [(1, 1), (0, 1), (0, 0)]  # fmt: skip
