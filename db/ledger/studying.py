"""Studies: people say which of two pictures is better, and know nothing of either but the picture.

What is shown, and on which side, is drawn here and written down before it is shown. A rater is given one pair after
another and never one of before; what others said is nobody's business until the study is read.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from sqlalchemy import Connection, Select, case, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from db.errors import InputError
from db.ledger.auditing import note
from db.ledger.limits import MOST_NAME, line, refuse_more
from db.records import read_word
from db.secret_text import digest
from db.session import Database
from db.states import Choice, StudyState, TrialKind
from db.store import keys
from db.tables import Study, Trial, Vote

MOST_STUDIES = 1000
MOST_VARIANTS = 20
MOST_TRIALS = 10_000
MOST_RATERS = 200
MOST_OF_RATER = 1000
"""Pairs that one rater is shown."""
MOST_QUESTION = 500
MOST_ITEM = 2000
MOST_SOURCE = 4000
LEAST_BETWEEN, MOST_BETWEEN = 4, 11
"""Pairs of others that are shown between a pair and its repetition: enough to forget it, and no fixed number."""


@dataclass(frozen=True)
class StudyVariant:
    """One of the ways that are compared."""

    name: str
    source: Mapping[str, Any]
    """Where its pictures come from, such as job and generation; kept as it is, for people."""


@dataclass(frozen=True)
class StudyItem:
    """One motif, in the variants that there are of it."""

    external_id: str
    pictures: Mapping[str, str]
    """Key of the picture's blob by name of the variant. All of one motif have the same size and format."""


@dataclass(frozen=True)
class NewStudy:
    """What is asked."""

    name: str
    question: str
    variants: Sequence[StudyVariant]
    items: Sequence[StudyItem]
    created_by: str
    seed: int
    """Of the drawing of trials: the same study and seed give the same trials."""
    repeat_share: float = 0.1
    """Pairs that are shown a second time, as a share of all."""
    identical_share: float = 0.05
    """Pairs of one picture and itself, as a share of the others."""


@dataclass(frozen=True)
class OpenedStudy:
    """A study that was opened just now."""

    id: int
    link: str
    """The secret of the link for raters; shown this once."""
    trials: int


@dataclass(frozen=True)
class Presentation:
    """A pair as it is shown to one rater."""

    position: int
    """Its place among this rater's pairs, from 0; by it the vote is given."""
    left: str
    """Random name of the picture."""
    right: str


@dataclass(frozen=True)
class _Pair:
    item: StudyItem
    kind: TrialKind
    first: str
    second: str
    repeat_of: int | None = None


def open_study(db: Database, study: NewStudy) -> OpenedStudy:
    """Draw the trials of a study and open it.

    Raises:
        InputError: ``BAD_VALUE``, ``KEY_UNSAFE`` or ``TOO_MANY_KEPT``.
    """
    values = _study_values(study)
    chance = random.Random(study.seed)
    normal = [
        _Pair(item, TrialKind.NORMAL, *pair)
        for item in study.items
        for pair in combinations([each.name for each in study.variants if each.name in item.pictures], 2)
    ]
    alone = [(item, name) for item in study.items for name in item.pictures]
    identical = round(study.identical_share * len(normal))
    repeats = round(study.repeat_share * len(normal))
    if not 0 < len(normal) + identical + repeats <= MOST_TRIALS:
        raise InputError(f"items: {len(normal)} pairs and their checks are not 1 to {MOST_TRIALS} trials")
    pairs = normal + [_Pair(item, TrialKind.IDENTICAL, name, name) for item, name in chance.choices(alone, k=identical)]
    link = secrets.token_urlsafe(32)
    with db.write() as connection:
        refuse_more(connection, Study, MOST_STUDIES, "studies")
        opened = insert(Study).values(**values, link_sha256=digest(link), created_at=db.now)
        study_id = int(connection.execute(opened.returning(Study.id)).scalar_one())
        ids = _add_trials(connection, study_id, pairs)
        again = sorted(chance.sample(range(len(normal)), repeats))
        _add_trials(connection, study_id, [_repetition(normal[number], ids[number]) for number in again])
        note(db, study.created_by, "study.open", f"study {study_id}", {"name": values["name"]}, within=connection)
    return OpenedStudy(study_id, link, len(pairs) + repeats)


def _study_values(study: NewStudy) -> dict[str, Any]:
    names = [line(each.name, MOST_NAME, "variant") for each in study.variants]
    if not 2 <= len(set(names)) == len(names) <= MOST_VARIANTS or names != [each.name for each in study.variants]:
        raise InputError(f"variants: a study compares 2 to {MOST_VARIANTS}, each with a name of its own")
    for item in study.items:
        line(item.external_id, MOST_ITEM, "item")
        for name, key in item.pictures.items():
            if keys.check(key) and name not in names:
                raise InputError(f"items: {item.external_id!r:.80} has a picture of {name!r:.80}, which is no variant")
    for share in (study.repeat_share, study.identical_share):
        if not (math.isfinite(share) and 0 <= share <= 1):
            raise InputError("repeat_share and identical_share lie between 0 and 1")
    if not 0 <= study.seed < 2**63:
        raise InputError("seed: a whole number from 0 to 2^63 - 1 is needed")
    sources = json.dumps([{"name": each.name, **each.source} for each in study.variants])
    if len(sources) > MOST_SOURCE * len(names):
        raise InputError(f"variants: more than {MOST_SOURCE} characters say where the pictures of one come from")
    return {
        "name": line(study.name, 200, "name"), "question": line(study.question, MOST_QUESTION, "question"),
        "state": StudyState.OPEN, "seed": study.seed, "variants_json": sources,
        "created_by": line(study.created_by, MOST_NAME, "created_by"),
    }  # fmt: skip


def _repetition(pair: _Pair, trial_id: int) -> _Pair:
    return _Pair(pair.item, TrialKind.REPEAT, pair.first, pair.second, trial_id)


def _add_trials(connection: Connection, study_id: int, pairs: Sequence[_Pair]) -> list[int]:
    """Write pairs down under random names; returns the trials' numbers in the order of the pairs."""
    if not pairs:
        return []
    rows = [
        {
            "study_id": study_id, "external_id": pair.item.external_id, "kind": pair.kind,
            "repeat_of": pair.repeat_of, "variant_a": pair.first, "variant_b": pair.second,
            "picture_a": pair.item.pictures[pair.first], "picture_b": pair.item.pictures[pair.second],
            "name_a": secrets.token_urlsafe(24), "name_b": secrets.token_urlsafe(24),
        }
        for pair in pairs
    ]  # fmt: skip
    made = connection.execute(insert(Trial).returning(Trial.id, sort_by_parameter_order=True), rows)
    return [int(trial_id) for (trial_id,) in made]


def close_study(db: Database, study_id: int, by: str) -> None:
    """Ask nobody any more; votes that are in stay. Raises ``UNKNOWN_STUDY``."""
    with db.write() as connection:
        change = update(Study).where(Study.id == study_id, Study.closed_at.is_(None))
        changed = connection.execute(change.values(state=StudyState.CLOSED, closed_at=db.now)).rowcount
        if changed:
            note(db, by, "study.close", f"study {study_id}", within=connection)
        elif connection.scalar(select(Study.id).where(Study.id == study_id)) is None:
            raise _unknown(study_id)


def next_trial(db: Database, study_id: int, rater: str) -> Presentation | None:
    """Return the pair that a rater is to judge: the one that waits for a vote, else a new one.

    New is a pair that the rater saw some time ago and is asked for once more, else one of those that were judged least,
    drawn by an order of the rater's own.

    Args:
        db: The database.
        study_id: The study.
        rater: What the rater's browser was given, unguessable.

    Returns:
        The pair; none when the rater has seen all, or as many as one is shown.

    Raises:
        InputError: ``UNKNOWN_STUDY``, ``STUDY_CLOSED``, or ``TOO_MANY_KEPT`` for one rater more than there may be.
    """
    try:
        return _present(db, study_id, digest(rater))
    except IntegrityError:  # asked twice at once, from two pages of one browser: the other's pair is shown
        return _present(db, study_id, digest(rater))


def _present(db: Database, study_id: int, who: str) -> Presentation | None:
    with db.write() as connection:
        _demand_open(connection, study_id)
        mine = (Vote.study_id == study_id, Vote.rater == who)
        # One statement sees one moment: else a pair that another page is shown meanwhile was counted, not waited for.
        waiting = func.min(case((Vote.choice.is_(None), Vote.position)))
        position, waits_at = connection.execute(select(func.count(), waiting).where(*mine)).one()
        if waits_at is not None:
            return _presentation(connection, waits_at, *mine)
        if position == 0:
            _refuse_more_raters(connection, study_id)
        seen = select(Vote.trial_id).where(*mine)
        trial_id = _due_repetition(connection, who, position, seen) or _least_judged(connection, study_id, who, seen)
        if trial_id is None or position >= MOST_OF_RATER:
            return None
        values = {"study_id": study_id, "trial_id": trial_id, "rater": who, "position": position}
        shown = insert(Vote).values(**values, a_is_left=bool(secrets.randbits(1)), shown_at=db.now)
        connection.execute(shown)
        return _presentation(connection, position, *mine)


def waiting_trial(db: Database, study_id: int, rater: str) -> Presentation | None:
    """Return the pair that was drawn for a rater and waits for a vote; changes nothing. None where none waits."""
    mine = (Vote.study_id == study_id, Vote.rater == digest(rater))
    with db.read() as connection:
        waits_at = connection.scalar(select(func.min(Vote.position)).where(Vote.choice.is_(None), *mine))
        return None if waits_at is None else _presentation(connection, waits_at, *mine)


def _demand_open(connection: Connection, study_id: int) -> None:
    state = connection.scalar(select(Study.state).where(Study.id == study_id))
    if state is None:
        raise _unknown(study_id)
    if read_word(StudyState, state, f"study {study_id}") is StudyState.CLOSED:
        raise InputError(f"Study {study_id} takes no more votes", code="STUDY_CLOSED")


def _unknown(study_id: int) -> InputError:
    return InputError(f"There is no study {study_id}", code="UNKNOWN_STUDY")


def _refuse_more_raters(connection: Connection, study_id: int) -> None:
    raters = connection.scalar(select(func.count(Vote.rater.distinct())).where(Vote.study_id == study_id)) or 0
    if raters >= MOST_RATERS:
        message = f"{raters} people take part already, and no more can"
        raise InputError(message, code="TOO_MANY_KEPT", remedy="Ask whoever sent the link.")


def _presentation(connection: Connection, position: int, *mine: Any) -> Presentation:
    wanted = select(Vote.a_is_left, Trial.name_a, Trial.name_b).join(Trial, Trial.id == Vote.trial_id)
    row = connection.execute(wanted.where(Vote.position == position, *mine)).one()
    left, right = (row.name_a, row.name_b) if row.a_is_left else (row.name_b, row.name_a)
    return Presentation(position, left, right)


def _due_repetition(connection: Connection, who: str, position: int, seen: Select[int]) -> int | None:
    """Return a pair that this rater saw long enough ago to be asked once more."""
    wanted = select(Trial.id, Vote.position).join(Vote, Vote.trial_id == Trial.repeat_of)
    rows = connection.execute(wanted.where(Vote.rater == who, Trial.id.not_in(seen)).order_by(Vote.position)).all()
    spread = MOST_BETWEEN - LEAST_BETWEEN + 1
    due = (row.id for row in rows if position - row.position > LEAST_BETWEEN + _own_order(who, row.id) % spread)
    return next(due, None)


def _least_judged(connection: Connection, study_id: int, who: str, seen: Select[int]) -> int | None:
    """Return one of the pairs that were judged least, by the rater's own order."""
    unseen = (Trial.study_id == study_id, Trial.repeat_of.is_(None), Trial.id.not_in(seen))
    least = select(func.min(Trial.judged)).where(*unseen).scalar_subquery()
    ids = connection.scalars(select(Trial.id).where(*unseen, Trial.judged == least)).all()
    return min(ids, key=lambda trial_id: _own_order(who, trial_id), default=None)


def _own_order(who: str, trial_id: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{who}:{trial_id}".encode()).digest()[:8])


def vote(db: Database, study_id: int, rater: str, position: int, choice: Choice) -> None:
    """Write down what a rater chose; a choice stands.

    Args:
        db: The database.
        study_id: The study.
        rater: As for :func:`next_trial`.
        position: Of the :class:`Presentation`.
        choice: The side that is better, or none.

    Raises:
        InputError: ``UNKNOWN_STUDY``, ``STUDY_CLOSED``, ``UNKNOWN_TRIAL`` for what was not shown to this rater, or
            ``ALREADY_VOTED``.
    """
    mine = (Vote.study_id == study_id, Vote.rater == digest(rater), Vote.position == position)
    with db.write() as connection:
        _demand_open(connection, study_id)
        row = connection.execute(select(Vote.id, Vote.trial_id, Vote.choice).where(*mine).with_for_update()).first()
        if row is None:
            raise InputError(f"Pair {position} was not shown to this rater", code="UNKNOWN_TRIAL")
        if row.choice is not None:
            raise InputError(f"Pair {position} has this rater's vote already", code="ALREADY_VOTED")
        values = {"choice": Choice(choice), "decided_at": db.now}
        connection.execute(update(Vote).where(Vote.id == row.id).values(values))
        connection.execute(update(Trial).where(Trial.id == row.trial_id).values(judged=Trial.judged + 1))
