"""What a study came to: the ranking, and how its raters judged where the answer is known."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from db import studies
from db.errors import InputError
from db.session import Database
from db.states import Choice, TrialKind
from db.studies import StudyCounts, StudyRow, VoteRow
from orchestrator.judging import student
from orchestrator.judging.davidson import Comparison, PairOutcome, Ranking, ranking
from orchestrator.manifest import cells

VOTE_COLUMNS = (
    "study", "seed", "rater", "position", "trial", "kind", "repeat_of", "item", "left", "right", "choice", "chosen",
    "shown_at", "decided_at",
)  # fmt: skip


@dataclass(frozen=True)
class Share:
    """How many of how many."""

    count: int
    total: int
    low: float | None
    """Bounds of the share's interval of 95 %, from 0 to 1; none of nothing."""
    high: float | None


@dataclass(frozen=True)
class RaterChecks:
    """How one rater judged, or all of them together."""

    rater: str
    """``r1`` for the one who voted first; empty for all."""
    votes: int
    ties: Share
    """No difference, of pairs of two variants."""
    left: Share
    """The left one, of votes for a side: half of them where the side makes no difference."""
    same: Share
    """The same as before, of pairs that were shown once more."""
    alike: Share
    """No difference, of pairs of one picture and itself."""


@dataclass(frozen=True)
class StudyReport:
    """All that is made of a study's votes."""

    study: StudyRow
    counts: StudyCounts
    ranking: Ranking | None
    no_ranking: str
    """Why there is none; empty where there is one."""
    checks: RaterChecks
    """Of all raters together. Votes of one rater resemble one another: these intervals are narrow."""
    raters: tuple[RaterChecks, ...]


def study_report(db: Database, study_id: int) -> StudyReport:
    """Read a study's votes; raises ``UNKNOWN_STUDY``."""
    study = studies.study(db, study_id)
    votes = list(studies.votes(db, study_id))
    found, refusal = None, ""
    try:
        found = ranking(comparisons(votes), [str(each["name"]) for each in study.variants], study.seed)
    except InputError as error:
        refusal = error.message
    by_rater = {name: [vote for vote in votes if vote.rater == rater] for rater, name in _rater_names(votes).items()}
    raters = tuple(rater_checks(name, theirs) for name, theirs in by_rater.items())
    return StudyReport(study, studies.counts(db, study_id), found, refusal, rater_checks("", votes), raters)


def comparisons(votes: Iterable[VoteRow]) -> Iterator[Comparison]:
    """Yield what is ranked: pairs of two variants, each when it was shown for the first time."""
    for vote in votes:
        if vote.kind is TrialKind.NORMAL:
            outcome: PairOutcome = "tie"
            if vote.choice is not Choice.NONE:
                outcome = "first" if vote.choice is Choice.LEFT else "second"
            yield Comparison(vote.rater, vote.left, vote.right, outcome)


def rater_checks(name: str, votes: Sequence[VoteRow]) -> RaterChecks:
    """Count how votes fell where the answer is known."""
    normal = [vote.choice for vote in votes if vote.kind is TrialKind.NORMAL]
    identical = [vote.choice for vote in votes if vote.kind is TrialKind.IDENTICAL]
    sides = Counter(vote.choice for vote in votes)
    first = {(vote.rater, vote.trial_id): _chosen(vote) for vote in votes}
    again = [
        first[vote.rater, vote.repeat_of] == _chosen(vote)
        for vote in votes
        if vote.repeat_of is not None and (vote.rater, vote.repeat_of) in first
    ]
    return RaterChecks(
        name,
        len(votes),
        ties=_share(normal.count(Choice.NONE), len(normal)),
        left=_share(sides[Choice.LEFT], sides[Choice.LEFT] + sides[Choice.RIGHT]),
        same=_share(sum(again), len(again)),
        alike=_share(identical.count(Choice.NONE), len(identical)),
    )


def _share(count: int, total: int) -> Share:
    low, high = student.share_interval(count, total) or (None, None)
    return Share(count, total, low, high)


def _chosen(vote: VoteRow) -> str:
    """Return the variant that was called better; empty where neither was."""
    return {Choice.LEFT: vote.left, Choice.RIGHT: vote.right, Choice.NONE: ""}[vote.choice]


def _rater_names(votes: Iterable[VoteRow]) -> dict[str, str]:
    """Return plain names in the order of first votes: a digest would help nobody who reads."""
    order = dict.fromkeys(vote.rater for vote in votes)
    return {rater: f"r{number}" for number, rater in enumerate(order, 1)}


def write_votes(db: Database, study_id: int, file: TextIO) -> None:
    """Write a study's votes as CSV, one a line, with all that a computation of one's own needs.

    What a spreadsheet would take for a formula is protected, see ``orchestrator.manifest.cells``. Raises
    ``UNKNOWN_STUDY``.
    """
    study = studies.study(db, study_id)
    votes = list(studies.votes(db, study_id))
    names = _rater_names(votes)
    writer = csv.DictWriter(file, VOTE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for vote in votes:
        row = {
            "study": study.id, "seed": study.seed, "rater": names[vote.rater], "position": vote.position,
            "trial": vote.trial_id, "kind": vote.kind, "repeat_of": vote.repeat_of or "", "item": vote.external_id,
            "left": vote.left, "right": vote.right, "choice": vote.choice, "chosen": _chosen(vote),
            "shown_at": f"{vote.shown_at:.3f}", "decided_at": f"{vote.decided_at:.3f}",
        }  # fmt: skip
        writer.writerow({name: cells.protect(str(value)) for name, value in row.items()})
