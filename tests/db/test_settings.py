from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from db import settings
from db.errors import InputError
from db.settings import Settings


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_environment_wins_over_the_file_and_arguments_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r.toml").write_text('segment_frames = 16\nbatch_frames = 4\nlog_level = "DEBUG"\n')
    monkeypatch.setenv("REELWRIGHT_CONFIG", str(tmp_path / "r.toml"))
    monkeypatch.setenv("REELWRIGHT_BATCH_FRAMES", "2")
    found = settings.load({"log_level": "ERROR", "home": None})
    assert (found.segment_frames, found.batch_frames, found.log_level) == (16, 2, "ERROR")


@pytest.mark.parametrize(
    ("name", "value"), [("REELWRIGHT_SLOTS", "many"), ("REELWRIGHT_DEVICE", "tpu"), ("REELWRIGHT_LEASE_SECONDS", "0")]
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as bad:
        settings.load()
    assert bad.value.code == "BAD_SETTING"
    assert name.removeprefix("REELWRIGHT_").lower() in bad.value.message


@pytest.mark.parametrize(
    ("values", "names", "remedy"),
    [
        (
            {"lease_seconds": 5, "heartbeat_seconds": 10},
            ("lease_seconds is 5", "heartbeat_seconds 10"),
            "Set lease_seconds to 30 or more, or heartbeat_seconds to 1.67 or less.",
        ),
        ({"lease_seconds": 29.9}, ("lease_seconds is 29.9", "heartbeat_seconds 10"), "lease_seconds to 30 or more"),
        ({"stall_seconds": 9}, ("stall_seconds is 9", "heartbeat_seconds 10"), "stall_seconds to 10 or more"),
        ({"leader_seconds": 0.5}, ("leader_seconds is 0.5", "tick_seconds 0.25"), "leader_seconds to 0.75 or more"),
        ({"requeue_seconds": 0.1}, ("requeue_seconds is 0.1", "tick_seconds 0.25"), "requeue_seconds to 0.25 or more"),
        (
            {"tick_seconds": 61, "leader_seconds": 200, "requeue_seconds": 100},
            ("lease_seconds is 60", "tick_seconds 61"),
            "tick_seconds to 60 or less",
        ),
        ({"s3_access_key": "key"}, ("s3_access_key is set", "s3_secret_key is empty"), "Set s3_secret_key too"),
        ({"s3_secret_key": "hush"}, ("s3_secret_key is set", "s3_access_key is empty"), "Set s3_access_key too"),
    ],
)
def test_settings_that_contradict_each_other_are_both_named(
    values: dict[str, object], names: tuple[str, str], remedy: str
) -> None:
    with pytest.raises(InputError) as bad:
        settings.load(values)
    assert bad.value.code == "BAD_SETTING"
    assert all(name in bad.value.message for name in names)
    assert remedy in bad.value.remedy
    assert "hush" not in bad.value.message


def test_settings_that_just_agree_are_taken() -> None:
    found = settings.load({"lease_seconds": 30, "stall_seconds": 10, "leader_seconds": 0.75, "requeue_seconds": 0.25})
    assert found.lease_seconds == 3 * found.heartbeat_seconds


@pytest.mark.parametrize(
    ("name", "meant"),
    [("REELWRIGHT_LEASE_SECOND", "REELWRIGHT_LEASE_SECONDS"), ("reelwright_slotz", "REELWRIGHT_SLOTS")],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(InputError) as bad:
        settings.load()
    assert bad.value.code == "BAD_SETTING"
    assert bad.value.message == f"{name} is not a setting. Did you mean {meant!r}?"


def test_variables_that_processes_tell_each_other_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name with the prefix that stands in our code is a setting, or one of the few that are not."""
    root = Path(__file__).parents[2]
    text = "".join(
        path.read_text()
        for each in ("db", "orchestrator", "reelwright", "workers")
        for path in (root / each).rglob("*.py")
    )
    for name in set(re.findall(r"REELWRIGHT_[A-Z][A-Z0-9_]+", text)):
        short = name.removeprefix("REELWRIGHT_")
        assert short.lower() in Settings.model_fields or short in settings.OTHER_VARIABLES, name
    for name in settings.OTHER_VARIABLES - {"CONFIG"}:
        monkeypatch.setenv(f"REELWRIGHT_{name}", "1")
    settings.load()


def test_an_unknown_key_of_the_file_is_refused_with_the_nearest_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r.toml").write_text("lease = 60\nlease_second = 60\n")
    monkeypatch.setenv("REELWRIGHT_CONFIG", str(tmp_path / "r.toml"))
    with pytest.raises(InputError) as bad:
        settings.load()
    assert "no setting 'lease'" in bad.value.message
    (tmp_path / "r.toml").write_text("lease_second = 60\n")
    with pytest.raises(InputError, match="Did you mean 'lease_seconds'"):
        settings.load()


@pytest.mark.parametrize("text", ["slots = ", "\x00", 'unknown = "x"'])
def test_a_bad_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    monkeypatch.setenv("REELWRIGHT_CONFIG", str(tmp_path / "r.toml"))
    with pytest.raises(InputError) as bad:
        settings.load()
    assert bad.value.code == "BAD_SETTING"


@pytest.mark.parametrize("path", ["/dev/zero", "pipe"])
def test_a_settings_file_without_an_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("REELWRIGHT_CONFIG", str(tmp_path / path))
    with pytest.raises(InputError, match="not a regular file") as refused:
        settings.load()
    assert refused.value.code == "BAD_SETTING"


def test_a_child_process_gets_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings(home=tmp_path / "h", slots=3, source_roots=(str(tmp_path), "s3://b/c"), device="cpu")
    for name, value in settings.environment(given).items():
        monkeypatch.setenv(name, value)
    assert settings.load() == given


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(Settings(s3_access_key="key", s3_secret_key="hush"))


@pytest.mark.parametrize("uri", ["gs://bucket/p", "http://host/p", "S3://bucket", "az:/x", "s3a://b"])
def test_a_store_of_an_unknown_kind_is_no_folder(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    with pytest.raises(InputError) as refused:
        settings.load({"store_uri": uri})
    assert (refused.value.code, "s3://" in refused.value.remedy) == ("BAD_SETTING", True)


@pytest.mark.parametrize("uri", ["", "store", "/store", "file:///store", "s3://bucket/p", "a:b"])
def test_folders_and_s3_are_stores(uri: str) -> None:
    assert settings.load({"store_uri": uri}).store_uri == uri


@pytest.mark.parametrize("value", ["inf", "nan", "-inf", "1e300", "1e999"])
@pytest.mark.parametrize("name", ["lease_seconds", "stall_seconds", "signature_wait_seconds", "failure_threshold"])
def test_times_and_shares_are_finite(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"REELWRIGHT_{name.upper()}", value)
    with pytest.raises(InputError) as refused:
        settings.load()
    assert (refused.value.code, name in refused.value.message) == ("BAD_SETTING", True)


@pytest.mark.parametrize("text", ["/archive", "[", "{}", "[1"])
def test_a_list_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("REELWRIGHT_SOURCE_ROOTS", text)
    with pytest.raises(InputError) as refused:
        settings.load()
    assert (refused.value.code, "source_roots" in refused.value.message) == ("BAD_SETTING", True)


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", 'x","/etc', "é"])
def test_children_get_folders_of_any_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    given = Settings(source_roots=(f"/{name}", f"s3://{name}", "other"))
    for variable, value in settings.environment(given).items():
        monkeypatch.setenv(variable, value)
    assert settings.load().source_roots == given.source_roots


@pytest.mark.parametrize("name", ["home", "scratch"])
def test_a_folder_in_which_libraries_can_open_nothing_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"Setting {name}: .*no text") as caught:
        settings.load({name: tmp_path / "ho\udcffme"})
    assert caught.value.code == "BAD_SETTING"


@pytest.mark.parametrize("value", [1, 500, 1499, -1])
def test_a_worker_without_room_for_its_libraries_is_refused(value: int) -> None:
    with pytest.raises(InputError, match="worker_memory_mb") as caught:
        settings.load({"worker_memory_mb": value})
    assert caught.value.code == "BAD_SETTING"
    assert settings.load({"worker_memory_mb": 1500}).worker_memory_mb == 1500
