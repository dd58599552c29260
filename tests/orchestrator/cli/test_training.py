"""What ``pack`` and ``train`` hand on to the process that works for them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from orchestrator.cli import training
from orchestrator.cli.context import CliContext
from orchestrator.cli.terminal import Terminal
from tests.workers.training import album


def test_photographs_outside_their_list_are_packed_where_a_root_allows_them(at_home: Any, tmp_path: Path) -> None:
    """By a path and by a link; what lies elsewhere still is left out, and a pipe is not waited for."""
    listed, elsewhere = tmp_path / "list", tmp_path / "elsewhere"
    listed.mkdir()
    elsewhere.mkdir()
    for place in (listed / "a.png", elsewhere / "b.png", tmp_path / "d.png"):
        place.write_bytes(album.encoded(album.picture(1)))
    (listed / "c.png").symlink_to(elsewhere / "b.png")
    os.mkfifo(listed / "pipe.png")
    (listed / "m.csv").write_text("path\na.png\n../elsewhere/b.png\nc.png\n../d.png\npipe.png\n")
    code, packed = at_home("pack", listed / "m.csv", tmp_path / "shards", "--source-root", elsewhere)
    assert (code, packed["pictures"], packed["unreadable"]) == (0, 3, 2)


def test_roots_of_the_settings_hold_where_none_is_given(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("REELWRIGHT_SOURCE_ROOTS", '["/photos"]')
    cli = CliContext(tmp_path, Terminal(as_json=True))
    assert training._roots(cli, None) == ["--source-root=/photos"]
    assert training._roots(cli, ["/a", "/b"]) == ["--source-root=/a", "--source-root=/b"]
