"""By which names a server may be called, and where it may listen without anybody logging in."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from db.ledger import access
from db.session import Database
from db.states import Role
from orchestrator.web.address import Address
from orchestrator.web.serving import check_access, listen
from tests.support.refusals import refused


@pytest.mark.parametrize(
    ("address", "hosts"),
    [
        (Address("127.0.0.1", 80), {"127.0.0.1", "127.0.0.1:80", "localhost", "localhost:80", "[::1]", "[::1]:80"}),
        (Address("127.0.0.2", 81), {"127.0.0.2:81", "127.0.0.1:81", "localhost:81", "[::1]:81"}),
        (Address("0.0.0.0", 80, public_url="https://Film.example.org"), {"film.example.org", "film.example.org:443"}),
        (Address("::", 80, public_url="http://[2001:db8::1]:81/"), {"[2001:db8::1]:81"}),
        (Address("127.0.0.1", 80, Path("/s"), "https://film.example.org:8443"), {"film.example.org:8443"}),
        (Address("127.0.0.1", 80, Path("/s")), {"localhost"}),
    ],
)
def test_its_names_are_those_that_people_type(address: Address, hosts: set[str]) -> None:
    assert address.hosts == hosts
    assert address.url.partition("://")[2].lower() in hosts | {host.partition(":")[0] for host in hosts}


@pytest.mark.parametrize(
    "url",
    [
        "film.example.org", "ftp://film.example.org", "https://", "https://film.example.org/path", "https://a?x",
        "https://a#x",
        "https://who@a", "https://:pw@a", "https://a:99999", "https://a:x", "https://a:0", "https://[::1",
        "https://a b",
        "https://a\nb", "https://ä.example", "//a", "https:///x", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_what_is_no_public_url_is_refused(url: str) -> None:
    with refused("BAD_VALUE", "public URL"):
        Address("127.0.0.1", 8765, public_url=url)


HERE, SOCKET = Address("127.0.0.1", 8765), Address("127.0.0.1", 8765, Path("/tmp/s"))
PUBLIC = "https://film.example.org"


@pytest.mark.parametrize("address", [HERE, SOCKET, Address("::1", 1), Address("localhost", 1), Address("127.0.0.9", 1)])
def test_this_machine_may_be_served_with_login_and_without(home_database: Database, address: Address) -> None:
    check_access(home_database, address, is_open=False)
    check_access(home_database, address, is_open=True)


def test_a_tunnel_to_this_machine_may_be_served_without_login(home_database: Database) -> None:
    check_access(home_database, Address("127.0.0.1", 8765, public_url="http://localhost:9000"), is_open=True)


@pytest.mark.parametrize(
    "address",
    [
        Address("0.0.0.0", 1), Address("::", 1), Address("192.0.2.1", 1), Address("film.example.org", 1),
        Address("", 1),
        Address("0.0.0.0", 1, public_url=PUBLIC), Address("127.0.0.1", 1, public_url=PUBLIC),
        Address("127.0.0.1", 1, Path("/tmp/s"), PUBLIC), Address("::ffff:127.0.0.1", 1),
    ],
)  # fmt: skip
def test_nothing_else_is_served_without_login(home_database: Database, address: Address) -> None:
    access.add_token(home_database, "ada", Role.ADMIN)
    with refused("BAD_SETTING", "--no-login"):
        check_access(home_database, address, is_open=True)


def test_elsewhere_it_takes_a_public_url_and_a_token_that_is_good(home_database: Database) -> None:
    with refused("BAD_SETTING", "--public-url|by which address"):
        check_access(home_database, Address("0.0.0.0", 1), is_open=False)
    address = Address("0.0.0.0", 1, public_url=PUBLIC)
    with refused("BAD_SETTING", "no token"):
        check_access(home_database, address, is_open=False)
    access.add_token(home_database, "ada", Role.ADMIN)
    access.revoke_token(home_database, "ada")
    with refused("BAD_SETTING", "no token"):
        check_access(home_database, address, is_open=False)
    access.add_token(home_database, "bob", Role.VIEWER)
    check_access(home_database, address, is_open=False)


def test_a_port_in_use_is_said() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        refused("ADDRESS_UNUSABLE", str(other.getsockname()[1])),
        listen("127.0.0.1", other.getsockname()[1], None),
    ):
        pass


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "x" * 300, "a..b", "\0"])
def test_a_place_that_is_none_is_said(host: str) -> None:
    with refused("ADDRESS_UNUSABLE"), listen(host, 0, None):
        pass


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # a socket's path is limited to about a hundred bytes
    return Path("s.sock")


def test_a_socket_is_for_its_user_alone_and_goes_with_its_server(place: Path) -> None:
    with listen("", 0, place):
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert not place.exists()


def test_a_socket_that_nobody_listens_on_makes_way(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))
    with listen("", 0, place):
        assert place.is_socket()


def test_a_socket_that_somebody_listens_on_stays(place: Path) -> None:
    with listen("", 0, place):
        with refused("ADDRESS_UNUSABLE"), listen("", 0, place):
            pass
        assert place.is_socket()


def test_a_file_in_its_place_stays(place: Path) -> None:
    place.write_text("mine")
    with refused("ADDRESS_UNUSABLE"), listen("", 0, place):
        pass
    assert place.read_text() == "mine"


@pytest.mark.parametrize("path", ["x" * 200, "nowhere/s.sock"])
def test_a_place_for_a_socket_that_is_none_is_said(place: Path, path: str) -> None:
    with refused("ADDRESS_UNUSABLE"), listen("", 0, Path(path)):
        pass
