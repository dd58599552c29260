"""The items of a job: filters, pages, what failed, and starting them again."""

from __future__ import annotations

from pathlib import Path

import pytest

from db import progress
from db.session import Database
from db.settings import Settings
from orchestrator.submit import SubmitOptions, submit
from orchestrator.web.pages import items
from tests.support.visitor import Page, Visitor


def shown(page: Page) -> list[str]:
    """Ids in the list of items."""
    return [" ".join(each.text_content().split()) for each in page.html.xpath("//form[@id='list']//tbody//th")]


def test_items_are_listed_in_the_manifests_order(viewer: Visitor, job_id: int) -> None:
    assert shown(viewer.get(f"/jobs/{job_id}")) == ["one", "two", "reel", "void", "gone"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=failed", ["void", "gone"]),
        ("state=failed&state=pending&code=", ["one", "two", "reel", "void", "gone"]),
        ("code=FILE_MISSING", ["gone"]),
        ("text=O&score=", ["one", "two", "void", "gone"]),
        ("text=zzz", []),
    ],
)
def test_a_filter_is_an_address(viewer: Visitor, job_id: int, query: str, expected: list[str]) -> None:
    assert shown(viewer.get(f"/jobs/{job_id}?{query}")) == expected


@pytest.mark.parametrize("query", ["score=great", "code=NONSENSE", "cursor=9"])
def test_a_question_that_cannot_be_asked_is_told_on_the_page(viewer: Visitor, job_id: int, query: str) -> None:
    page = viewer.get(f"/jobs/{job_id}?{query}")
    assert page.status == 200
    assert "BAD_VALUE" in page.words


def test_pages_lead_through_all_items_and_back(monkeypatch: pytest.MonkeyPatch, viewer: Visitor, job_id: int) -> None:
    monkeypatch.setattr(items, "ON_A_PAGE", 2)
    page, seen = viewer.get(f"/jobs/{job_id}?text=o"), []
    while True:
        seen.append(shown(page))
        following = page.html.xpath("//a[@rel='next']/@href")
        if not following:
            break
        page = viewer.get(str(following[0]))
    assert seen == [["one", "two"], ["void", "gone"]]
    (back,) = page.html.xpath("//a[@rel='prev']/@href")
    assert shown(viewer.get(str(back))) == ["one", "two"]


def test_what_failed_is_summed_up_with_meaning_remedy_and_example(operator: Visitor, job_id: int) -> None:
    page = operator.get(f"/jobs/{job_id}/failed")
    assert shown(page) == ["void", "gone"]
    for said in ("The source is not there.", "Check the path, or send the file."):
        assert said in page.words
    (again,) = page.html.xpath("//a[contains(@href, 'rerun?code=FILE_MISSING')]/@href")
    assert "Rerun 1 item?" in operator.get(str(again)).words


def test_chosen_items_are_started_again_after_a_question(
    operator: Visitor, home_database: Database, archive: Path, job_id: int
) -> None:
    (archive / "c.jpg").write_bytes(b"sent at last")
    gone = next(row for row in progress.items(home_database, job_id) if row.external_id == "gone")
    ask = operator.get(f"/jobs/{job_id}/rerun?of=chosen&item={gone.id}")
    form = ask.html.xpath("//main//form")[0]
    fields = [(each.name, each.value or "") for each in form.inputs if each.name]
    answer = operator.send(form.action, fields)
    assert "1 item will be done again" in operator.get(answer.headers["location"]).words
    again = next(row for row in progress.items(home_database, job_id) if row.external_id == "gone")
    assert (again.state, again.generation) == ("pending", 2)


@pytest.mark.parametrize("of", ["matching&state=failed", "chosen"])
def test_a_line_that_names_no_source_is_not_counted_among_what_can_be_started_again(
    operator: Visitor, settings: Settings, home_database: Database, archive: Path, of: str
) -> None:
    (archive / "n.csv").write_text("id,uri,fps\nbad,a.jpg,never\ngone,c.jpg,\n")
    job = submit(settings, home_database, archive / "n.csv", SubmitOptions(recipe="identity")).job_id
    numbers = "".join(f"&item={row.id}" for row in progress.items(home_database, job))
    ask = operator.get(f"/jobs/{job}/rerun?of={of}{numbers if of == 'chosen' else ''}")
    form = ask.html.xpath("//main//form")[0]
    answer = operator.send(form.action, [(each.name, each.value or "") for each in form.inputs if each.name])
    assert "1 item will be done again" in operator.get(answer.headers["location"]).words


def test_another_number_than_was_confirmed_changes_nothing(
    operator: Visitor, home_database: Database, job_id: int
) -> None:
    before = list(progress.items(home_database, job_id))
    page = operator.send(f"/jobs/{job_id}/rerun", [("state", "failed"), ("expect", "7")])
    assert "COUNT_DIFFERS" in page.words
    assert list(progress.items(home_database, job_id)) == before


def test_items_of_another_job_are_not_meant(
    operator: Visitor, settings: Settings, home_database: Database, archive: Path, job_id: int
) -> None:
    other = submit(settings, home_database, archive / "m.csv", SubmitOptions(recipe="identity", new=True)).job_id
    foreign = next(row for row in progress.items(home_database, other) if row.external_id == "gone")
    assert "Rerun 0 items?" in operator.get(f"/jobs/{job_id}/rerun?of=chosen&item={foreign.id}").words
    page = operator.send(f"/jobs/{job_id}/rerun", [("item", str(foreign.id)), ("expect", "1")])
    assert page.status in (409, 422)
    assert next(row for row in progress.items(home_database, other) if row.id == foreign.id).state == "failed"


def test_a_viewer_may_start_nothing(viewer: Visitor, job_id: int) -> None:
    assert viewer.get(f"/jobs/{job_id}/rerun?state=failed").status == 403
    assert viewer.send(f"/jobs/{job_id}/rerun", [("state", "failed"), ("expect", "2")]).status == 403


def test_text_from_a_manifest_is_text(
    viewer: Visitor, settings: Settings, home_database: Database, tmp_path: Path
) -> None:
    names = ["<img src=x onerror=alert(1)>", "{{7*7}}", "javascript:alert(1)", "x" * 380, "../../etc/passwd"]
    lines = [f'"{name}",gone-{number}.jpg' for number, name in enumerate(names)]
    (tmp_path / "h.csv").write_text("\n".join(["id,uri", *lines]) + "\n")
    made = submit(settings, home_database, tmp_path / "h.csv", SubmitOptions(name="<b>bold</b>")).job_id
    page = viewer.get(f"/jobs/{made}")
    assert page.html.xpath("//main//img | //main//b") == []
    assert shown(page)[:3] == names[:3]
    assert max(map(len, shown(page))) < 80
    assert not [link for link in page.links() if "javascript" in link or ".." in link]
    assert "<b>bold</b>" in page.words


def test_a_page_of_a_hundred_rows_is_small(
    viewer: Visitor, settings: Settings, home_database: Database, tmp_path: Path
) -> None:
    lines = [f"BFI/box-{number:05d}/photo_{number:07d}.jpg,p/{number}.jpg" for number in range(120)]
    (tmp_path / "big.csv").write_text("\n".join(["id,uri", *lines]) + "\n")
    made = submit(settings, home_database, tmp_path / "big.csv", SubmitOptions(check_files=False)).job_id
    page = viewer.get(f"/jobs/{made}")
    packed = viewer.get(f"/jobs/{made}", **{"Accept-Encoding": "gzip"})
    assert len(shown(page)) == 100
    assert len(page.content) < 60_000
    assert int(packed.headers["content-length"]) < 6_000
