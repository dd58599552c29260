"""Who catches whatever comes: every such place has its reason here, and no other place may do it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("db", "orchestrator", "workers", "reelwright")
BROAD = {"Exception", "BaseException"}
REASONS = {
    # Where a process, a thread or an attempt ends.
    "orchestrator/cli/__init__.py": "a command ends in a message and an exit code, whatever happened",
    "orchestrator/web/background.py": "what was asked for ends in a message where it is looked at",
    "orchestrator/web/guard.py": "an answer that has begun can only break off, and the log say why",
    "orchestrator/web/serving.py": "pages go on, and say so, when the work beside them has ended",
    "workers/process/attempt.py": "every exception becomes the one outcome that it deserves",
    "workers/process/heartbeat.py": "without its beat the process would outlive its lease",
    "workers/background.py": "what a thread raises is raised again where its work is awaited",
    # Where code or data that is not ours may raise anything.
    "orchestrator/manifest/lines.py": "a line or a manifest that nobody foresaw costs itself alone",
    "db/catalog/entry_points.py": "an outside package is imported",
    "orchestrator/loop.py": "a row that somebody changed costs its own reel, not everybody's loop",
    "workers/models/checkpoints/loading.py": "an outside package builds its network",
    "workers/on_demand/inspect_weights.py": "a network that somebody made up is run",
    "workers/models/parts/spandrel.py": "spandrel trusts the shapes in a file that may be hostile",
    "workers/models/checkpoints/formats.py": "unpickling trusts a file that may be damaged",
    "workers/training/init.py": "PyTorch trusts a file that may be damaged",
    "workers/training/trainer.py": "PyTorch trusts a state that may be damaged",
    "workers/media/stills/exposures.py": "Pillow's EXIF reader raises whatever its parts raise; then EXIF says nothing",
    "workers/media/stills/pillow.py": "Pillow's EXIF reader raises whatever its parts raise",
}


def _names(node: ast.expr | None) -> set[str]:
    if node is None:
        return {"BaseException"}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _cleans_up_only(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _catches_broadly(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and _names(node.type) & BROAD and not _cleans_up_only(node):
            return True
        suppresses = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress")
        if suppresses and any(_names(argument) & BROAD for argument in node.args):
            return True
    return False


def test_broad_handlers_stand_where_they_have_a_reason() -> None:
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    broad = {path for path in paths if _catches_broadly(ast.parse(path.read_text(encoding="utf-8")))}
    assert {str(path.relative_to(ROOT)) for path in broad} == set(REASONS)
