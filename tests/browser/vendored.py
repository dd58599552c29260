"""Files of other projects that lie beside ours: ``make vendor`` fetches what each ``vendor.json`` names."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "orchestrator/web/static/vendor", ROOT / "tests/browser/vendor")


def packages(folder: Path) -> list[dict[str, Any]]:
    """What a folder should hold: name, version, licence, npm's integrity, and files with where they are from."""
    found: list[dict[str, Any]] = json.loads((folder / "vendor.json").read_text(encoding="utf-8"))
    return found


def fetch(package: dict[str, Any], folder: Path) -> None:
    """Fetch a package of npm, copy its files, and write down their digests and the package's own."""
    with tempfile.TemporaryDirectory() as place:
        command = ["npm", "pack", "--json", "--pack-destination", place, f"{package['name']}@{package['version']}"]
        (packed,) = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        package["integrity"] = packed["integrity"]
        with tarfile.open(Path(place) / packed["filename"]) as tar:
            for name, entry in package["files"].items():
                member = tar.extractfile(f"package/{entry['from']}")
                assert member is not None, f"{package['name']} has no {entry['from']}"
                content = member.read()
                (folder / name).write_bytes(content)
                entry["sha256"] = hashlib.sha256(content).hexdigest()


def main() -> None:
    """Bring every folder to what its list names."""
    for folder in FOLDERS:
        found = packages(folder)
        for package in found:
            fetch(package, folder)
        (folder / "vendor.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
