"""Studies and their votes. Only reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, case, func, select

from db.errors import InputError
from db.records import read_column, read_word
from db.secret_text import digest
from db.session import Database
from db.states import Choice, StudyState, TrialKind
from db.tables import Study, Trial, Vote


@dataclass(frozen=True)
class StudyRow:
    """One study. Times are seconds since 1970."""

    id: int
    name: str
    question: str
    state: StudyState
    seed: int
    """What its trials were drawn with."""
    variants: tuple[dict[str, Any], ...]
    """What is compared: each with its ``name`` and where its pictures come from."""
    created_by: str
    created_at: float
    closed_at: float | None


@dataclass(frozen=True)
class StudyPage:
    """Some studies, newest first."""

    rows: tuple[StudyRow, ...]
    more: bool


@dataclass(frozen=True)
class StudyCounts:
    """How far a study is."""

    trials: int
    raters: int
    votes: int


@dataclass(frozen=True)
class VoteRow:
    """One vote, with what it was about."""

    trial_id: int
    external_id: str
    kind: TrialKind
    repeat_of: int | None
    """The trial that was shown once more."""
    variant_a: str
    variant_b: str
    rater: str
    """A digest: one and the same for all votes of a rater."""
    position: int
    """Place among the pairs that this rater was shown, from 0."""
    a_is_left: bool
    choice: Choice
    shown_at: float
    decided_at: float

    @property
    def left(self) -> str:
        """The variant that stood on the left."""
        return self.variant_a if self.a_is_left else self.variant_b

    @property
    def right(self) -> str:
        """The variant that stood on the right."""
        return self.variant_b if self.a_is_left else self.variant_a


def study_page(db: Database, *, before_id: int | None = None, limit: int = 100) -> StudyPage:
    """Return studies, newest first, older than ``before_id``; none begins with the newest."""
    wanted = select(Study.__table__).order_by(Study.id.desc()).limit(limit + 1)
    if before_id is not None:
        wanted = wanted.where(Study.id < before_id)
    with db.read() as connection:
        rows = connection.execute(wanted).all()
    return StudyPage(tuple(_study_row(row) for row in rows[:limit]), len(rows) > limit)


def study(db: Database, study_id: int) -> StudyRow:
    """Return one study; raises ``UNKNOWN_STUDY``."""
    row = _find(db, Study.id == study_id)
    if row is None:
        raise InputError(f"There is no study {study_id}", code="UNKNOWN_STUDY")
    return row


def study_of_link(db: Database, link: str) -> StudyRow | None:
    """Return the study that raters reach by a link's secret; none for one that leads nowhere."""
    return _find(db, Study.link_sha256 == digest(link))


def counts(db: Database, study_id: int) -> StudyCounts:
    """Return how many trials, raters and votes a study has; all 0 for one that is not there."""
    trials = select(func.count()).select_from(Trial).where(Trial.study_id == study_id)
    decided = (Vote.study_id == study_id, Vote.choice.is_not(None))
    votes = select(func.count(), func.count(Vote.rater.distinct())).where(*decided)
    with db.read() as connection:
        vote_count, rater_count = connection.execute(votes).one()
        return StudyCounts(connection.scalar(trials) or 0, rater_count, vote_count)


def rater_votes(db: Database, study_id: int, rater: str) -> int:
    """Return how many votes a rater gave."""
    mine = (Vote.study_id == study_id, Vote.rater == digest(rater), Vote.choice.is_not(None))
    with db.read() as connection:
        return connection.scalar(select(func.count()).select_from(Vote).where(*mine)) or 0


def picture_key(db: Database, study_id: int, rater: str, name: str) -> str | None:
    """Return the key of a picture by its random name; none for one that this rater was not shown."""
    key = case((Trial.name_a == name, Trial.picture_a), else_=Trial.picture_b)
    wanted = select(key).join(Vote, Vote.trial_id == Trial.id).where((Trial.name_a == name) | (Trial.name_b == name))
    with db.read() as connection:
        return connection.scalar(wanted.where(Vote.study_id == study_id, Vote.rater == digest(rater)))


def votes(db: Database, study_id: int) -> Iterator[VoteRow]:
    """Yield all votes that were given, in the order in which their pairs were shown."""
    wanted = select(
        Vote.__table__, Trial.external_id, Trial.kind, Trial.repeat_of, Trial.variant_a, Trial.variant_b
    ).join(Trial, Trial.id == Vote.trial_id)
    with db.read() as connection:
        rows = connection.execute(
            wanted.where(Vote.study_id == study_id, Vote.choice.is_not(None)).order_by(Vote.id)
        ).all()
    for row in rows:
        yield _vote_row(row)


def _find(db: Database, which: ColumnElement[bool]) -> StudyRow | None:
    with db.read() as connection:
        row = connection.execute(select(Study.__table__).where(which)).first()
    return None if row is None else _study_row(row)


def _study_row(row: Row[Any]) -> StudyRow:
    where = f"study {row.id}"
    variants = read_column(tuple[dict[str, Any], ...], row.variants_json, where)
    state = read_word(StudyState, row.state, where)
    times = (row.created_at, row.closed_at)
    return StudyRow(row.id, row.name, row.question, state, row.seed, variants, row.created_by, *times)


def _vote_row(row: Row[Any]) -> VoteRow:
    where = f"vote {row.id}"
    kind, choice = read_word(TrialKind, row.kind, where), read_word(Choice, row.choice, where)
    return VoteRow(
        row.trial_id, row.external_id, kind, row.repeat_of, row.variant_a, row.variant_b, row.rater, row.position,
        row.a_is_left, choice, row.shown_at, row.decided_at,
    )  # fmt: skip
