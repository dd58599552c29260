"""The way from a manifest to a job."""

from __future__ import annotations

from pathlib import Path

import pytest

from db import progress
from db.session import Database
from db.settings import Settings
from tests.support.servers import wait_until
from tests.support.visitor import OWN_PAGE, Page, Visitor


@pytest.fixture
def settings(tmp_path: Path, archive: Path) -> Settings:
    return Settings(home=tmp_path / "home", bundle_stills=3, source_roots=(str(archive),))


def settled(visitor: Visitor, path: str) -> Page:
    """Return a page when it says no more that it waits."""
    page = visitor.get(path)

    def is_over() -> bool:
        nonlocal page
        page = visitor.get(path)
        return "data-waiting" not in page.text

    wait_until(is_over, 30, "the page waits no more")
    return page


@pytest.fixture
def plan(operator: Visitor, archive: Path) -> Page:
    """The page of the problems of a manifest that lies below a root."""
    begun = operator.send("/submit", [("root", str(archive)), ("place", "m.csv"), ("recipe", "identity")])
    assert begun.status == 303
    return settled(operator, begun.headers["location"])


def test_problems_are_shown_by_code_and_one_by_one(operator: Visitor, plan: Page) -> None:
    assert "5 lines, 2 problems" in plan.words
    links = [link for link in plan.links() if link.startswith("?code=")]
    assert sorted(links) == ["?code=FILE_MISSING", "?code=ZERO_BYTE"]
    assert "identity" not in plan.html.xpath("//textarea")[0].text.split("recipe:")[0].split("\n")[-2:]


def test_a_place_counts_from_the_only_root_if_none_is_chosen(operator: Visitor, archive: Path) -> None:
    assert str(archive) in operator.get("/submit").words
    begun = operator.send("/submit", [("place", "m.csv"), ("recipe", "identity")])
    assert begun.status == 303
    page = settled(operator, begun.headers["location"])
    assert "5 lines, 2 problems" in page.words
    assert "keeps its own" in page.words


def test_what_was_planned_is_submitted_with_the_recipe_of_the_text(
    operator: Visitor, home_database: Database, plan: Page
) -> None:
    (form,) = plan.html.xpath("//form[@data-recipe]")
    fields = [("recipe", "recipe: [deflicker]"), ("name", "From a page"), ("priority", "3")]
    begun = operator.send(form.action, fields)
    job = settled_job(operator, begun.headers["location"])
    row = progress.job(home_database, job)
    assert (row.name, row.priority, [step.stage for step in row.recipe.steps]) == ("From a page", 3, ["deflicker"])
    assert progress.progress(home_database, job).items_failed == 2


def settled_job(visitor: Visitor, path: str) -> int:
    """Return the number of the job to which a submission leads."""
    wait_until(lambda: visitor.get(path).status == 303, 30, "the submission leads to its job")
    return int(visitor.get(path).headers["location"].split("?")[0].rpartition("/")[2])


def test_the_same_manifest_leads_to_the_same_job(operator: Visitor, plan: Page) -> None:
    (form,) = plan.html.xpath("//form[@data-recipe]")
    answers = [operator.send(form.action, [("recipe", "recipe: []")]).headers["location"] for _ in range(2)]
    assert settled_job(operator, answers[0]) == settled_job(operator, answers[1])
    assert operator.get(answers[1]).headers["location"].endswith("done=same")


def test_strictness_is_kept_and_its_problems_are_listed(operator: Visitor, plan: Page) -> None:
    (form,) = plan.html.xpath("//form[@data-recipe]")
    begun = operator.send(form.action, [("recipe", "recipe: []"), ("strict", "true")])
    page = settled(operator, begun.headers["location"])
    assert "Not submitted" in page.words
    assert "c.jpg" in page.words


def test_a_manifest_is_sent_in_the_form_itself(operator: Visitor, archive: Path) -> None:
    files = {"file": ("m.csv", (archive / "m.csv").read_bytes(), "text/csv")}
    begun = operator.ask("POST", "/submit", headers=OWN_PAGE, files=files, data={"root": str(archive)})
    page = settled(operator, begun.headers["location"])
    assert "5 lines, 2 problems" in page.words


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ([("root", "/nowhere"), ("place", "m.csv")], "PATH_UNSAFE"),
        ([("root", "/etc"), ("place", "passwd")], "PATH_UNSAFE"),
        ([("upload", "0" * 32)], "UNKNOWN_UPLOAD"),
        ([("recipe", "recipe: [x")], "BAD_VALUE RECIPE_UNREADABLE"),
    ],
)
def test_what_cannot_be_planned_is_told(operator: Visitor, fields: list[tuple[str, str]], code: str) -> None:
    page = operator.send("/submit", fields)
    assert page.status in (404, 422)
    assert any(each in page.words for each in code.split())


def test_a_viewer_submits_nothing(viewer: Visitor) -> None:
    assert viewer.get("/submit").status == 403
    assert viewer.send("/submit", []).status == 403
