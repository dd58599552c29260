from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("luma_psnr", 'gates: {luma_psnr: ">= NUMBER"}, of a frame'),
        ("flicker", 'gates: {flicker: "<= NUMBER"}, of a reel'),
        ("psnr", ""),
    ],
)
def test_a_score_says_how_it_is_written_as_a_gate(tmp_path: Path, metric: str, said: str) -> None:
    shown = CliRunner().invoke(app, ["--home", str(tmp_path), "metrics", metric])
    assert shown.exit_code == 0
    assert said in " ".join(shown.output.split())
    assert ("gate" in shown.output) is bool(said)
