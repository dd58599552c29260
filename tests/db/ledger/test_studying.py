"""Studies: pairs are drawn by their seed, shown blind and evenly, and each is judged once by each rater."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select

from db import administration, ledger, studies
from db.errors import InputError
from db.ledger import studying
from db.ledger.studying import NewStudy, Presentation, StudyItem, StudyVariant
from db.session import Database
from db.states import Choice, StudyState, TrialKind
from db.tables import Study, Trial, Vote
from tests.conftest import Schema

NAMES = ("classic", "network", "source")
STUDY = NewStudy(
    name="Which denoiser",
    question="Which picture is better?",
    variants=[StudyVariant(name, {"job_id": 1, "generation": place}) for place, name in enumerate(NAMES, 1)],
    items=[
        StudyItem(f"photo {number}", {name: f"studies/{number}/{name}.webp" for name in NAMES}) for number in range(8)
    ],
    created_by="anna",
    seed=11,
    repeat_share=0.25,
    identical_share=0.25,
)
"""24 pairs, 6 of them shown twice, and 6 pairs of one picture and itself."""


def trials(database: Database) -> list[Trial]:
    with database.read() as connection:
        return list(connection.execute(select(Trial.__table__).order_by(Trial.id)))


def judge(database: Database, rater: str, count: int, choice: Choice = Choice.LEFT) -> list[Presentation]:
    shown = []
    for _ in range(count):
        pair = ledger.next_trial(database, 1, rater)
        if pair is None:
            break
        ledger.vote(database, 1, rater, pair.position, choice)
        shown.append(pair)
    return shown


def pictures(database: Database, rater: str, pair: Presentation) -> list[str | None]:
    return [studies.picture_key(database, 1, rater, name) for name in (pair.left, pair.right)]


def test_every_pair_of_variants_of_every_item_is_a_trial_and_some_are_checks(database: Database) -> None:
    opened = ledger.open_study(database, STUDY)
    rows = trials(database)
    kinds = Counter(row.kind for row in rows)
    assert (opened.id, opened.trials, kinds) == (1, 36, {"normal": 24, "repeat": 6, "identical": 6})
    normal = {(row.external_id, row.variant_a, row.variant_b) for row in rows if row.kind == "normal"}
    assert len(normal) == 24
    by_id = {row.id: row for row in rows}
    for row in rows:
        assert (row.picture_a == row.picture_b) == (row.kind == "identical") == (row.variant_a == row.variant_b)
        if row.repeat_of is not None:
            first = by_id[row.repeat_of]
            assert (first.kind, first.picture_a, first.picture_b) == ("normal", row.picture_a, row.picture_b)
    assert len({name for row in rows for name in (row.name_a, row.name_b)}) == 72
    assert not any(name in row.name_a + row.name_b for row in rows for name in (*NAMES, "photo"))
    assert studies.study(database, 1).variants[1] == {"name": "network", "job_id": 1, "generation": 2}


def test_the_same_seed_draws_the_same_trials_under_other_names(database: Database) -> None:
    def drawn(study_id: int) -> list[tuple[str, ...]]:
        rows = [row for row in trials(database) if row.study_id == study_id]
        return [(row.external_id, row.kind, row.variant_a, row.variant_b) for row in rows]

    for seed in (11, 11, 12):
        ledger.open_study(database, replace(STUDY, seed=seed))
    assert drawn(1) == drawn(2) != drawn(3)
    assert len({row.name_a for row in trials(database)}) == 108


def test_a_variant_that_an_item_lacks_is_not_shown_of_it(database: Database) -> None:
    lacking = StudyItem("bare", {"classic": "studies/9/a.webp", "source": "studies/9/b.webp"})
    ledger.open_study(database, replace(STUDY, items=[lacking], repeat_share=0, identical_share=0))
    assert [(row.variant_a, row.variant_b) for row in trials(database)] == [("classic", "source")]


def test_a_rater_sees_every_pair_once_and_then_no_more(database: Database) -> None:
    ledger.open_study(database, STUDY)
    shown = judge(database, "one", 50)
    assert [pair.position for pair in shown] == list(range(len(shown)))
    assert len({name for pair in shown for name in (pair.left, pair.right)}) == 2 * len(shown)
    seen = Counter(vote.kind for vote in studies.votes(database, 1))
    assert (seen["normal"], seen["identical"]) == (24, 6)
    assert 0 < seen["repeat"] <= 6  # those of the last pairs would come too soon
    assert ledger.next_trial(database, 1, "one") is None
    assert studies.counts(database, 1) == studies.StudyCounts(trials=36, raters=1, votes=len(shown))


def test_a_pair_waits_for_its_vote_and_stays_on_its_sides(database: Database) -> None:
    ledger.open_study(database, STUDY)
    pair = ledger.next_trial(database, 1, "one")
    assert pair is not None
    assert all(ledger.next_trial(database, 1, "one") == pair for _ in range(20))
    ledger.vote(database, 1, "one", 0, Choice.RIGHT)
    after = ledger.next_trial(database, 1, "one")
    assert after is not None
    assert after.position == 1


def test_a_vote_stands_and_only_what_was_shown_can_be_voted_on(database: Database) -> None:
    ledger.open_study(database, STUDY)
    judge(database, "one", 1)
    for rater, position, code in (
        ("one", 0, "ALREADY_VOTED"), ("one", 1, "UNKNOWN_TRIAL"), ("one", -1, "UNKNOWN_TRIAL"),
        ("two", 0, "UNKNOWN_TRIAL"),
    ):  # fmt: skip
        with pytest.raises(InputError) as refused:
            ledger.vote(database, 1, rater, position, Choice.NONE)
        assert refused.value.code == code
    (vote,) = studies.votes(database, 1)
    assert (vote.choice, vote.position) == (Choice.LEFT, 0)
    assert vote.decided_at >= vote.shown_at > 1e9
    assert sum(row.judged for row in trials(database)) == 1


def test_pages_of_one_browser_that_ask_at_once_show_one_pair(schema: Schema) -> None:
    with schema.open() as database:
        ledger.open_study(database, STUDY)
    start = threading.Barrier(4)

    def ask() -> Presentation | None:
        with schema.open() as database:
            start.wait(20)
            return ledger.next_trial(database, 1, "one")

    with ThreadPoolExecutor(4) as pool:
        shown = {each.result() for each in [pool.submit(ask) for _ in range(4)]}
    assert len(shown) == 1
    assert None not in shown


def test_votes_that_come_at_once_are_all_counted(schema: Schema) -> None:
    with schema.open() as database:
        ledger.open_study(database, STUDY)

    def take_part(rater: str) -> None:
        with schema.open() as database:
            judge(database, rater, 6)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(take_part, ("one", "two", "three", "four")))
    with schema.open() as database:
        assert sum(row.judged for row in trials(database)) == studies.counts(database, 1).votes == 24


def test_the_sides_of_a_vote_are_those_that_were_shown(database: Database) -> None:
    ledger.open_study(database, STUDY)
    shown = judge(database, "one", 36)
    keys = {(row.external_id, name): key for row in trials(database)
            for name, key in ((row.variant_a, row.picture_a), (row.variant_b, row.picture_b))}  # fmt: skip
    for pair, vote in zip(shown, studies.votes(database, 1), strict=True):
        assert pictures(database, "one", pair) == [keys[vote.external_id, side] for side in (vote.left, vote.right)]


def test_sides_are_drawn_anew_for_every_rater(database: Database) -> None:
    ledger.open_study(database, STUDY)
    for rater in ("one", "two", "three", "four"):
        judge(database, rater, 36)
    sides = Counter(vote.a_is_left for vote in studies.votes(database, 1))
    assert min(sides[True], sides[False]) > 35  # of some 140; fewer by chance once in a hundred million
    by_trial = defaultdict(set)
    for vote in studies.votes(database, 1):
        by_trial[vote.trial_id].add(vote.a_is_left)
    assert 2 in map(len, by_trial.values())  # one pair was shown either way round; that one never was is chance


def test_what_was_judged_least_comes_next_in_an_order_of_each_raters_own(database: Database) -> None:
    ledger.open_study(database, replace(STUDY, repeat_share=0, identical_share=0))
    orders = defaultdict(list)
    for number in range(9):
        judge(database, f"r{number}", 8)
        judged = [row.judged for row in trials(database)]
        assert max(judged) - min(judged) <= 1, judged
    for vote in studies.votes(database, 1):
        orders[vote.rater].append(vote.trial_id)
    first_raters = [order for order in orders.values() if sorted(order) != order]
    assert len(first_raters) > 6
    assert len({order[0] for order in orders.values()}) > 4


def test_a_pair_is_shown_again_when_it_is_forgotten_and_not_at_a_fixed_distance(database: Database) -> None:
    items = [StudyItem(f"i{n}", {name: f"studies/{n}/{name}.webp" for name in NAMES}) for n in range(40)]
    ledger.open_study(database, replace(STUDY, items=items, repeat_share=1, identical_share=0))
    judge(database, "one", 60)
    votes = list(studies.votes(database, 1))
    first = {vote.trial_id: vote.position for vote in votes if vote.kind is TrialKind.NORMAL}
    gaps = [vote.position - first[vote.repeat_of or 0] for vote in votes if vote.kind is TrialKind.REPEAT]
    assert len(gaps) > 15
    assert min(gaps) > studying.LEAST_BETWEEN
    assert len(set(gaps)) > 3


def test_pictures_are_shown_to_whom_they_were_given_to(database: Database) -> None:
    ledger.open_study(database, STUDY)
    pair = ledger.next_trial(database, 1, "one")
    assert pair is not None
    assert all(str(key).startswith("studies/") for key in pictures(database, "one", pair))
    assert pictures(database, "two", pair) == [None, None]
    unseen = next(row for row in trials(database) if row.name_a not in (pair.left, pair.right))
    assert studies.picture_key(database, 1, "one", unseen.name_a) is None
    assert studies.picture_key(database, 2, "one", pair.left) is None


def test_the_link_leads_to_its_study_and_neither_it_nor_a_rater_is_kept(database: Database) -> None:
    opened = [ledger.open_study(database, replace(STUDY, name=name)) for name in ("a", "b")]
    found = [studies.study_of_link(database, each.link) for each in opened]
    assert [study and study.name for study in found] == ["a", "b"]
    assert studies.study_of_link(database, "") is None
    judge(database, "rater-secret", 1)
    with database.read() as connection:
        kept = repr([connection.execute(select(table.__table__)).all() for table in (Study, Vote)])
    assert not any(secret in kept for secret in (opened[0].link, opened[1].link, "rater-secret"))


def test_a_closed_study_keeps_its_votes_and_takes_no_more(database: Database) -> None:
    ledger.open_study(database, STUDY)
    judge(database, "one", 2)
    waiting = ledger.next_trial(database, 1, "one")
    assert waiting is not None
    ledger.close_study(database, 1, "bert")
    ledger.close_study(database, 1, "anna")
    for ask in (
        lambda: ledger.next_trial(database, 1, "one"),
        lambda: ledger.vote(database, 1, "one", waiting.position, Choice.LEFT),
    ):
        with pytest.raises(InputError) as closed:
            ask()
        assert closed.value.code == "STUDY_CLOSED"
    row = studies.study(database, 1)
    assert row.state is StudyState.CLOSED
    assert row.closed_at is not None
    assert studies.counts(database, 1).votes == 2
    assert [(deed.who, deed.action) for deed in administration.audit_page(database).rows] == [
        ("bert", "study.close"), ("anna", "study.open"),
    ]  # fmt: skip


def test_studies_come_newest_first_page_by_page(database: Database) -> None:
    for number in range(5):
        ledger.open_study(database, replace(STUDY, name=f"s{number}"))
    first = studies.study_page(database, limit=3)
    rest = studies.study_page(database, before_id=first.rows[-1].id, limit=3)
    assert [row.name for row in first.rows + rest.rows] == ["s4", "s3", "s2", "s1", "s0"]
    assert (first.more, rest.more) == (True, False)
    for ask in (lambda: studies.study(database, 9), lambda: ledger.close_study(database, 9, "anna"),
                lambda: ledger.next_trial(database, 9, "one")):  # fmt: skip
        with pytest.raises(InputError) as unknown:
            ask()
        assert unknown.value.code == "UNKNOWN_STUDY"


ODD = StudyItem("x", {"classic": "studies/1/a", "other": "studies/1/b"})
UNSAFE = StudyItem("x", {"classic": "studies/1/a", "network": "../b"})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": ""}, "BAD_VALUE"),
        ({"question": "a" * 501}, "BAD_VALUE"),
        ({"question": "a\0"}, "BAD_VALUE"),
        ({"variants": STUDY.variants[:1]}, "BAD_VALUE"),
        ({"variants": [STUDY.variants[0]] * 2}, "BAD_VALUE"),
        ({"variants": [StudyVariant(str(number), {}) for number in range(21)]}, "BAD_VALUE"),
        ({"variants": [StudyVariant("a", {"x": "y" * 10_000}), StudyVariant("b", {})], "items": []}, "BAD_VALUE"),
        ({"items": []}, "BAD_VALUE"),
        ({"items": list(STUDY.items) * 500}, "BAD_VALUE"),
        ({"items": [ODD]}, "BAD_VALUE"),
        ({"items": [UNSAFE]}, "KEY_UNSAFE"),
        ({"repeat_share": 1.1}, "BAD_VALUE"),
        ({"identical_share": float("nan")}, "BAD_VALUE"),
        ({"seed": -1}, "BAD_VALUE"),
        ({"seed": 2**63}, "BAD_VALUE"),
    ],
)
def test_what_is_no_study_is_refused(database: Database, changes: dict[str, object], code: str) -> None:
    with pytest.raises(InputError) as refused:
        ledger.open_study(database, replace(STUDY, **changes))
    assert refused.value.code == code
    assert studies.study_page(database).rows == ()


def test_there_is_an_end_to_studies_raters_and_pairs(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studying, "MOST_STUDIES", 1)
    monkeypatch.setattr(studying, "MOST_RATERS", 2)
    monkeypatch.setattr(studying, "MOST_OF_RATER", 3)
    ledger.open_study(database, STUDY)
    assert [len(judge(database, rater, 9)) for rater in ("one", "two")] == [3, 3]
    for ask in (lambda: ledger.open_study(database, STUDY), lambda: ledger.next_trial(database, 1, "three")):
        with pytest.raises(InputError) as full:
            ask()
        assert full.value.code == "TOO_MANY_KEPT"


def test_the_pair_that_waits_is_read_without_drawing_another(database: Database) -> None:
    ledger.open_study(database, STUDY)
    assert ledger.waiting_trial(database, 1, "r") is None
    pair = ledger.next_trial(database, 1, "r")
    assert pair is not None
    assert ledger.waiting_trial(database, 1, "r") == pair
    assert ledger.waiting_trial(database, 1, "other") is None
    assert studies.rater_votes(database, 1, "r") == 0
    ledger.vote(database, 1, "r", pair.position, Choice.NONE)
    assert ledger.waiting_trial(database, 1, "r") is None
    assert (studies.rater_votes(database, 1, "r"), studies.rater_votes(database, 1, "other")) == (1, 0)
