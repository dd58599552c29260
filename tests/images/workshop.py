"""Builds and runs the images without a daemon or a registry: debootstrap makes the base, buildah works in a chroot.

``IMAGES_FOLDER`` keeps base and images for the next time: empty it to build anew. ``DEBIAN_MIRROR`` names a mirror
other than debootstrap's own. What pip needs on this machine (indexes, wheels, certificates) is asked of pip, and
mounted while an image is built.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = {"debootstrap": "debootstrap", "buildah": "buildah", "ip": "iproute2", "nsenter": "util-linux"}
"""Programs that are needed, and Debian's packages with them."""
PACKAGES = "python3,python3-venv,ca-certificates"
"""What the files ask of a base image: Python and its venv module."""
SERVERS = "localhost/servers"
SERVERS_RELEASE, SERVERS_PACKAGES = "trixie", "postgresql-17,redis-server,netcat-openbsd"
"""The Debian release with PostgreSQL and Redis of the major versions that compose.yml names."""
NEEDED_BYTES = 35 * 10**9
"""While the worker's image is built its layers lie there several times, each with CUDA's libraries."""
USER = 10001
PLAIN_PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
"""What an image has that says nothing of it."""


def check_machine(folder: Path) -> None:
    """Fail where the images cannot be built; nothing is skipped, since whoever asks for these tests wants them."""
    missing = [
        package for tool, package in TOOLS.items() if not shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin")
    ]
    if missing:
        pytest.fail(f"To build the images install {' and '.join(missing)}: apt-get install {' '.join(missing)}")
    if os.geteuid():
        pytest.fail("Images are built by root here: debootstrap and chroots need it")
    if not (folder / "storage").exists() and shutil.disk_usage(folder).free < NEEDED_BYTES:
        pytest.fail(
            f"To build the images {NEEDED_BYTES // 10**9} GB must be free in {folder}; IMAGES_FOLDER names another"
        )


class Workshop:
    """A folder with images in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pip = folder / "pip.conf"
        # Layers are written there before they are kept.
        (folder / "tmp").mkdir(exist_ok=True)

    def buildah(self, *words: str) -> str:
        """Run buildah to its end and return what it printed."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, env=self._environment())
        assert done.returncode == 0, f"buildah {words[0]}: {done.stderr[-3000:]}"
        return done.stdout.strip()

    def command(self, *words: str) -> list[str]:
        return ["buildah", "--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run"), *words]

    def _environment(self) -> dict[str, str]:
        return os.environ | {"TMPDIR": str(self.folder / "tmp"), "BUILDAH_ISOLATION": "chroot"}

    def has(self, image: str) -> bool:
        found = subprocess.run(self.command("inspect", "--type", "image", image), capture_output=True)
        return found.returncode == 0

    def make_base(self) -> str:
        """Make a base image of the Debian release that the files name."""
        release = re.search(r"BASE_IMAGE=python:\S+-slim-(\w+)", _dockerfile("worker").read_text("utf-8"))
        assert release
        return self._bootstrap("localhost/base", release[1], PACKAGES)

    def make_servers(self) -> str:
        """Make an image with PostgreSQL and Redis out of Debian's packages."""
        return self._bootstrap(SERVERS, SERVERS_RELEASE, SERVERS_PACKAGES)

    def _bootstrap(self, image: str, release: str, packages: str) -> str:
        """Make an image of a Debian release with some packages, and return its name."""
        tree = self.folder / "tree"
        if not self.has(image):
            words = ["debootstrap", "--variant=minbase", f"--include={packages}", release, str(tree)]
            words += [os.environ["DEBIAN_MIRROR"]] if "DEBIAN_MIRROR" in os.environ else []
            path = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
            done = subprocess.run(words, capture_output=True, text=True, env=os.environ | path)
            assert done.returncode == 0, f"debootstrap: {(done.stdout + done.stderr)[-3000:]}"
            container = self.buildah("from", "scratch")
            self.buildah("copy", "--quiet", container, f"{tree}/", "/")
            self.buildah("commit", "--quiet", "--rm", container, image)
            shutil.rmtree(tree)
        return image

    def build(self, which: str) -> str:
        """Build the orchestrator's or the worker's image as its file says, and return its name."""
        image, base = f"localhost/{which}", self.make_base()
        if not self.has(image):
            file, config = _dockerfile(which), pip_configuration()
            self._pip.write_text(_as_text(config), encoding="utf-8")
            mounts = {str(self._pip): "/etc/pip.conf"} | {place: place for place in sorted(local_places(config))}
            # Docker's own form: the other one keeps no health check.
            self.buildah(
                "build", "--format=docker", "--pull-never", f"--build-arg=BASE_IMAGE={base}", f"--file={file}",
                f"--ignorefile={file}.dockerignore", f"--tag={image}", *_volumes(mounts), str(ROOT),
            )  # fmt: skip
        return image

    def facts(self, image: str) -> dict[str, Any]:
        """What an image says of itself: ``Entrypoint``, ``Cmd``, ``Env``, ``User``, ``Healthcheck``."""
        found: dict[str, Any] = json.loads(self.buildah("inspect", "--type", "image", image))["Docker"]["config"]
        return found

    def environment(self, image: str) -> dict[str, str]:
        """Return the variables that an image has of itself."""
        return PLAIN_PATH | dict(each.split("=", 1) for each in self.facts(image).get("Env") or ())

    def container(self, image: str, *hosts: str) -> str:
        """Make a container, in which hosts of these names are found at loopback, and return its name."""
        return self.buildah("from", "--pull-never", *(f"--add-host={host}:127.0.0.1" for host in hosts), image)

    def start(
        self,
        container: str,
        *words: str,
        door: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        mounts: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.Popen[str]:
        """Start a command in a container, as its image's user, in a process group of its own."""
        variables = [f"--env={name}={value}" for name, value in (environment or {}).items()]
        command = [*door, *self.command("run", *variables, *_volumes(mounts or {}), container, "--", *words)]
        return subprocess.Popen(command, text=True, start_new_session=True, env=self._environment(), **options)

    def run(self, image: str, *words: str, **options: Any) -> str:
        """Run a command to its end in a container of its own, and return what it printed."""
        container = self.container(image)
        with self.start(container, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
            out, err = process.communicate()
        assert process.returncode == 0, f"{' '.join(words)}: {process.returncode}\n{out[-2000:]}\n{err[-3000:]}"
        return out

    def close(self, *, keep: bool) -> None:
        """Take all containers away, and the images too."""
        self.buildah("rm", "--all")
        if not keep:
            self.buildah("rmi", "--all", "--force")
            shutil.rmtree(self.folder)


def pip_configuration() -> dict[str, dict[str, str]]:
    """Return this machine's configuration of pip, by section; its variables come last and win."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    sections: dict[str, dict[str, str]] = {}
    for line in sorted(listed.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        section, _, key = name.replace(":env:", "global").partition(".")
        sections.setdefault(section, {})[key] = str(ast.literal_eval(value))
    return sections


def local_places(sections: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield files and folders that a configuration of pip names; an index's pages lie beside its files."""
    for word in " ".join(value for keys in sections.values() for value in keys.values()).split():
        place = Path(urlsplit(word).path).parent if word.startswith("file:") else Path(word)
        if place.is_absolute() and place.exists():
            yield str(place)


def _as_text(sections: Mapping[str, Mapping[str, str]]) -> str:
    lines = ("\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in keys.items())])
             for name, keys in sections.items())  # fmt: skip
    return "\n".join(lines) + "\n"


def _volumes(mounts: Mapping[str, str]) -> list[str]:
    """Options for mounts, read-only where they do not say ``:rw``."""
    return [f"--volume={source}:{target if ':' in target else f'{target}:ro'}" for source, target in mounts.items()]


def _dockerfile(which: str) -> Path:
    return ROOT / "docker" / f"{which}.Dockerfile"
