"""Work from elsewhere: nothing is read that the caller was not given, and what was begun is gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from db import beneath, progress
from db.errors import InputError
from db.session import Database
from db.settings import Settings
from db.states import JobState
from orchestrator import submit as submissions
from orchestrator.web import serving, submitting
from orchestrator.web.app import make_app
from orchestrator.web.background import Order
from orchestrator.web.site import Site
from orchestrator.web.submitting import SubmitOrder
from tests.support.servers import wait_until
from tests.support.visitor import ADDRESS, Visitor

SECRET = "the-secret-of-another"
Submit = Callable[..., dict[str, Any]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of sources, a link in it that leads out, and a file beside it that is nobody's business."""
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"a")
    (folder / "m.csv").write_text("id,uri\none,a.jpg\n")
    (tmp_path / "secret.jpg").write_text(SECRET)
    (tmp_path / "secret.yaml").write_text(f"recipe: [{SECRET}]\n")
    (folder / "out").symlink_to(tmp_path)
    return folder


@pytest.fixture
def settings(tmp_path: Path, root: Path) -> Settings:
    return Settings(home=tmp_path / "home", source_roots=(str(root), "s3://films/box"))


def send(visitor: Visitor, data: str | bytes, name: str = "m.csv", kind: str = "manifest") -> str:
    page = visitor.ask("PUT", f"/api/v1/uploads/{name}?kind={kind}", content=data)
    assert page.status == 201, page.text
    return str(json.loads(page.text)["id"])


@pytest.fixture
def submit(operator: Visitor) -> Submit:
    """Submit by the API and wait for what comes of it: the submission, or the error."""

    def do(**order: Any) -> dict[str, Any]:
        page = operator.ask("POST", "/api/v1/jobs", json=order)
        told: dict[str, Any] = json.loads(page.text)
        if page.status != 202:
            return told
        seen: dict[str, Any] = {}

        def is_over() -> bool:
            seen.update(json.loads(operator.get(page.headers["Location"]).text))
            return seen["state"] not in ("waiting", "running")

        wait_until(is_over, 20, "the submission is over")
        return seen

    return do


def problems(database: Database, job_id: int) -> dict[str, str]:
    return {item.external_id: f"{item.code}: {item.message}" for item in progress.items(database, job_id)}


def test_an_upload_becomes_a_job(submit: Submit, operator: Visitor, home_database: Database, root: Path) -> None:
    over = submit(upload=send(operator, "id,uri\none,a.jpg\n"), root=str(root), name="Box 7", priority=5)
    assert over["state"] == "done"
    job = progress.job(home_database, over["result"]["job_id"])
    assert (job.name, job.priority) == ("Box 7", 5)
    assert problems(home_database, job.id) == {"one": "None: None"}


def test_the_same_manifest_is_the_same_job(submit: Submit, root: Path) -> None:
    first, again, other = (submit(root=str(root), place="m.csv", new=new)["result"] for new in (False, False, True))
    assert (first["created"], again["created"], other["created"]) == (True, False, True)
    assert first["job_id"] == again["job_id"] != other["job_id"]


def lines_out(root: Path, home: Path, other: str) -> dict[str, str]:
    return {
        "passwd": "/etc/passwd", "up": "../secret.jpg", "deep": "a/../../secret.jpg", "link": "out/secret.jpg",
        "database": f"{home}/reelwright.db", "upload": f"{home}/uploads/{other}/x.jpg", "file": "file:///etc/passwd",
        "local": f"file://{root}/../secret.jpg", "http": "http://127.0.0.1:1/x.jpg", "s3": "s3://other/x.jpg",
        "s3up": "s3://films/box/../other/x.jpg", "s3beside": "s3://films/boxer/x.jpg", "proc": "/proc/self/environ",
        "nul": "a%00.jpg", "device": "/dev/zero",
    }  # fmt: skip


@pytest.mark.parametrize("with_root", [True, False])
def test_a_line_that_leads_out_fails_and_says_nothing_of_what_lies_there(
    submit: Submit, operator: Visitor, home_database: Database, settings: Settings, root: Path, with_root: bool
) -> None:
    other = send(operator, b"x", "x.jpg", "photo")
    lines = lines_out(root, settings.home, other)
    text = "id,uri\n" + "".join(f"{name},{uri}\n" for name, uri in lines.items())
    over = submit(upload=send(operator, text), root=str(root) if with_root else None)
    assert over["state"] == "done"
    found = problems(home_database, over["result"]["job_id"])
    codes = {name: found[name].partition(":")[0] for name in lines}
    assert {name for name, code in codes.items() if code == "None"} == set(), codes
    assert set(codes.values()) <= {"PATH_UNSAFE", "BAD_VALUE", "FILE_MISSING", "UNSUPPORTED_URI", "BAD_FIELD"}, codes
    assert SECRET not in repr(found)


PATHS = [
    "../secret.yaml",
    "{root}/../secret.yaml",
    "./r.yaml",
    "/etc/passwd",
    "identity.yaml",
    "r.json",
    "~/x.yaml",
    "\0",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_recipe_is_a_path(submit: Submit, operator: Visitor, root: Path, tmp_path: Path, path: str) -> None:
    recipe = path.format(root=root)
    (tmp_path / "identity.yaml").write_text(f"recipe: [{SECRET}]\n")
    job_id = submit(root=str(root), place="m.csv")["result"]["job_id"]
    where = {"root": str(root), "place": "m.csv", "recipe": recipe}
    pages = [
        operator.ask("POST", "/api/v1/jobs", json=where),
        operator.ask("POST", "/api/v1/plans", json=where),
        operator.ask("POST", f"/api/v1/jobs/{job_id}/rerun", json={"recipe": recipe}),
        operator.ask("POST", "/api/v1/comparisons", json={"uploads": ["0" * 32], "models": [recipe]}),
        operator.ask("POST", "/api/v1/recipes/check", json={"text": recipe}),
        operator.send("/submit", [("root", str(root)), ("place", "m.csv"), ("recipe", recipe)]),
        operator.send(f"/jobs/{job_id}/rerun", [("recipe", recipe)]),
    ]
    assert {page.status for page in pages} <= {404, 409, 422}, [page.status for page in pages]
    assert not [page.text for page in pages if SECRET in page.text or "root:" in page.text]


@pytest.mark.parametrize("field", ["recipe", "params"])
def test_no_recipe_of_a_manifest_is_a_path(
    submit: Submit, operator: Visitor, home_database: Database, root: Path, tmp_path: Path, field: str
) -> None:
    secret = tmp_path / "secret.yaml"
    csv = submit(upload=send(operator, f"id,uri,{field}\none,a.jpg,{secret}\n"), root=str(root))
    found = problems(home_database, csv["result"]["job_id"]) if csv["result"] else {"one": csv["error"]["code"]}
    assert not found["one"].startswith("None")
    whole = submit(
        upload=send(operator, f"recipe: {secret}\nitems:\n- id: one\n  uri: a.jpg\n", "m.yaml"), root=str(root)
    )
    assert whole.get("state", "failed") == "failed"
    assert SECRET not in repr((found, whole))


BOMB = "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 8)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("text", [BOMB, "!!python/object/apply:os.system [id]", "[" * 9000, "{a: " * 5000, "\0"])
def test_a_recipe_that_bursts_is_refused(operator: Visitor, text: str) -> None:
    for page in (
        operator.ask("POST", "/api/v1/recipes/check", json={"text": text[:60_000]}),
        operator.send("/submit", [("place", "m.csv"), ("recipe", text[:60_000])]),
    ):
        assert page.status == 422


def test_a_manifest_that_bursts_is_refused(submit: Submit, operator: Visitor, root: Path) -> None:
    for text in (BOMB + "items: [{id: one, uri: a.jpg}]\n", "items:\n- " + "[" * 50_000):
        over = submit(upload=send(operator, text, "m.yaml"), root=str(root))
        assert over.get("state", "failed") in {"failed", "done"}
        assert over.get("error") or over["result"]["bad_lines"] == over["result"]["lines"]


@pytest.mark.parametrize(
    "place",
    [
        "../secret.jpg",
        "out",
        "out/secret.jpg",
        "/etc/passwd",
        "a/../..",
        "..",
        "\0",
        "m.csv\0",
        "..\\x",
        "//etc",
        "out/../../secret.jpg",
    ],
)
def test_a_place_stays_below_its_root(operator: Visitor, root: Path, place: str) -> None:
    for route in ("/api/v1/jobs", "/api/v1/plans"):
        page = operator.ask("POST", route, json={"root": str(root), "place": place})
        assert page.status == 422
        assert SECRET not in page.text


@pytest.mark.parametrize("place", ["../other", "./../other", "a/../../other", ".", "x/./y", "\n"])
def test_a_place_stays_below_its_prefix(operator: Visitor, place: str) -> None:
    assert operator.ask("POST", "/api/v1/jobs", json={"root": "s3://films/box", "place": place}).status == 422


def test_no_other_root_is_taken(operator: Visitor, root: Path) -> None:
    beside = [f"{root}{end}" for end in ("/out", "/..", "x", "/", "/.")]
    for given in ("/", "/etc", "", ".", "s3://films", "s3://films/box2", "s3://films/box/..", "s3://other", *beside):
        page = operator.ask("POST", "/api/v1/jobs", json={"root": given, "place": "m.csv"})
        assert (given, page.status) == (given, 422)


def test_the_home_is_no_place_even_below_a_root(home_database: Database, settings: Settings, tmp_path: Path) -> None:
    wide = settings.model_copy(update={"source_roots": (str(tmp_path),)})
    with serving.open_site(wide, home_database, ADDRESS, is_open=False) as site:
        for place in ("home", "home/reelwright.db", "root/../home/uploads"):
            with pytest.raises(InputError) as caught:
                submitting.place_below(site, str(tmp_path), place)
            assert caught.value.code == "PATH_UNSAFE"
        assert submitting.place_below(site, str(tmp_path), "root/m.csv") == str(tmp_path / "root/m.csv")


@pytest.mark.parametrize(
    "order",
    [
        {}, {"upload": "0" * 32}, {"upload": "../../x"}, {"upload": "x", "place": "y"}, {"place": "m.csv"},
        {"source_root": "/"},
        {"allow_fetch": True}, {"tenant": "x"}, {"salt": "x"}, {"priority": 10**9}, {"priority": 1.5},
        {"name": "x" * 201},
        {"segment_frames": 0}, {"recipe": 5}, {"recipe": {"recipe": ["none"]}}, {"recipe": "x" * 5_000},
    ],
)  # fmt: skip
def test_an_order_that_is_none_is_refused_at_once(operator: Visitor, root: Path, order: dict[str, Any]) -> None:
    given = order if {"upload", "place"} & set(order) else {"root": str(root), "place": "m.csv"} | order
    assert operator.ask("POST", "/api/v1/jobs", json=given if order else {}).status in {404, 422}


def test_what_became_a_job_stays_and_what_was_refused_does_not(
    submit: Submit, operator: Visitor, site: Site, root: Path
) -> None:
    good, bad = send(operator, "id,uri\none,a.jpg\n"), send(operator, "nothing that anybody knows\x01")
    submit(upload=good, root=str(root))
    submit(upload=bad, root=str(root))
    assert operator.ask("DELETE", f"/api/v1/uploads/{good}").status == 409
    assert operator.ask("DELETE", f"/api/v1/uploads/{bad}").status == 200
    assert list(site.uploads.orders()) == []


@pytest.mark.parametrize("new", [False, True])
def test_a_submission_that_a_server_left_is_gone_on_with_by_the_next(
    settings: Settings, home_database: Database, site: Site, operator: Visitor, root: Path,
    monkeypatch: pytest.MonkeyPatch, new: bool,
) -> None:  # fmt: skip
    for number in range(40):
        (root / f"{number}.jpg").write_bytes(b"%d" % number)
    upload = send(operator, "id,uri\n" + "".join(f"i{number},{number}.jpg\n" for number in range(40)))
    monkeypatch.setattr(submissions, "CHUNK_LINES", 10)
    advance = Order.advance

    def leave(self: Order, done: int, total: int | None = None) -> None:
        site.background.close()
        advance(self, done, total)

    monkeypatch.setattr(Order, "advance", leave)
    begun = submitting.start(site, "ada", SubmitOrder(upload=upload, root=str(root), new=new, name="cut"))
    wait_until(lambda: begun.state == "cancelled", 20, "it stopped")
    monkeypatch.undo()
    job = progress.jobs(home_database)[0]
    assert job.state is JobState.INGESTING
    assert len(problems(home_database, job.id)) == 10
    assert [each[0] for each in site.uploads.orders()] == [upload]

    with serving.open_site(settings, home_database, ADDRESS, is_open=False) as after:
        submitting.resume(after)
        wait_until(lambda: list(after.uploads.orders()) == [], 20, "it is done")
        assert Visitor(make_app(after), operator.token).ask("DELETE", f"/api/v1/uploads/{upload}").status == 409
    assert [each.state for each in progress.jobs(home_database)] == [JobState.READY]
    assert len(problems(home_database, job.id)) == 40


def test_what_cannot_be_read_of_an_unfinished_submission_stops_no_server(site: Site, operator: Visitor) -> None:
    upload = send(operator, "id,uri\n")
    for key, text in (
        ("1", "{"),
        ("2", '{"who": "x"}'),
        ("3", '{"who": "x", "salt": "", "order": {"upload": "none"}}'),
    ):
        site.uploads.note_order(upload, key, text)
    submitting.resume(site)


def test_roots_are_compared_as_they_are(root: Path) -> None:
    assert not beneath.is_beneath(f"{root}-beside/x", beneath.real_roots((str(root),)))
