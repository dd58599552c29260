"""What is shipped to browsers is what was fetched, and everything that a template names is shipped."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from setuptools import Distribution
from setuptools.config.pyprojecttoml import apply_configuration

from tests.browser.conftest import CHROMIUM
from tests.browser.vendored import FOLDERS, ROOT, packages

WEB = ROOT / "orchestrator/web"
NAMED = re.compile(r"""asset\(\s*["']([^"']+)["']\s*\)""")
IMPORTED = re.compile(r"""^import .*? from "\./([^"]+)";""", re.MULTILINE)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files below ``orchestrator/web`` that a wheel holds, as setuptools itself chooses them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        distribution = apply_configuration(Distribution(), ROOT / "pyproject.toml")
        distribution.include_package_data = False  # what is under version control is no reason to be shipped
        command = distribution.get_command_obj("build_py")
        command.ensure_finalized()
        command.editable_mode = False
        files = {Path(source) / name for _, source, _, names in command.data_files for name in names}
        return {
            path.relative_to("orchestrator/web").as_posix() for path in files if path.is_relative_to("orchestrator/web")
        }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_files_of_other_projects_are_unchanged(folder: Path) -> None:
    digests = {name: entry["sha256"] for package in packages(folder) for name, entry in package["files"].items()}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    del found["vendor.json"]
    assert found == digests


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_each_of_them_comes_with_its_licence_and_is_named_in_the_notice(folder: Path) -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for package in packages(folder):
        assert any("LICENSE" in name for name in package["files"]), package["name"]
        assert package["version"] in notice, package["name"]
        assert package["license"] in notice, package["name"]
        scripts = [name for name in package["files"] if "LICENSE" not in name]
        assert all(name in notice for name in scripts), package["name"]


def test_a_wheel_holds_every_template_and_every_asset_that_one_names(shipped: set[str]) -> None:
    templates = sorted((WEB / "templates").rglob("*.html"))
    scripts = sorted((WEB / "static").glob("*.js"))
    assert {path.relative_to(WEB).as_posix() for path in templates} <= shipped
    named = {f"static/{name}" for path in templates for name in NAMED.findall(path.read_text(encoding="utf-8"))}
    named |= {f"static/{name}" for path in scripts for name in IMPORTED.findall(path.read_text(encoding="utf-8"))}
    assert named
    assert named <= shipped


def test_there_is_a_browser_to_try_pages_in(needs_browser: None) -> None:
    assert Path(CHROMIUM).exists()


def test_no_script_of_ours_needs_what_the_content_policy_forbids() -> None:
    forbidden = re.compile(r"\beval\(|new Function|\.innerHTML\s*=|setAttribute\(\"style\"|hx-on|https?://")
    for path in (WEB / "static").glob("*.js"):
        assert forbidden.search(path.read_text(encoding="utf-8")) is None, path.name


def test_no_template_holds_script_style_or_handler_inline() -> None:
    forbidden = re.compile(
        r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|\|\s*safe\b|hx-on|js:", re.IGNORECASE
    )
    for path in (WEB / "templates").rglob("*.html"):
        found = forbidden.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path.name}: {found and found[0]}"
