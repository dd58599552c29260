from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

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


@pytest.mark.parametrize("text", ["slots = ", "\x00", 'unknown = "x"'])
def test_a_bad_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    monkeypatch.setenv("REELWRIGHT_CONFIG", str(tmp_path / "r.toml"))
    with pytest.raises(InputError) as bad:
        settings.load()
    assert bad.value.code == "BAD_SETTING"


def test_a_child_process_gets_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings(home=tmp_path / "h", slots=3, source_roots=(tmp_path, tmp_path / "b"), device="cpu")
    for name, value in settings.environment(given).items():
        monkeypatch.setenv(name, value)
    assert settings.load() == given


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().slots = 3  # type: ignore[misc]


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(Settings(s3_secret_key="hush"))
