"""Where records are kept: what a URL means, what is another machine, and that no password is ever shown."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from edgewise.errors import InvalidInput, NotReady
from router.config import RouterSettings
from router.log import Log, Place, place_in, place_of
from router.log.places import Tls, is_here, tls_context

SECRET = "s3cret"


def of(url: str, **environment: str) -> Place:
    return place_of(url, environment={"PGUSER": "me", **environment})


def test_without_a_url_it_is_a_file_in_the_data_directory(tmp_path: Path) -> None:
    place = place_in(tmp_path, RouterSettings())
    assert place.file == tmp_path / "records.db"
    assert not place.elsewhere
    assert place.name == f"SQLite in {tmp_path / 'records.db'}"


def test_the_password_file_wins_over_the_url_and_the_url_over_the_environment(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("of the file\n")
    url = "postgresql://me:of-the-url@localhost/db"
    settings = RouterSettings(records_url=url, records_password_file=tmp_path / "password")
    assert place_in(tmp_path, settings).url.password == "of the file"
    assert of(url, PGPASSWORD="of the environment").url.password == "of-the-url"
    assert of("postgresql://localhost/db", PGPASSWORD="of the environment").url.password == "of the environment"
    assert of("postgresql://localhost/db").url.password is None
    with pytest.raises(NotReady, match="records_password_file"):
        place_in(tmp_path, RouterSettings(records_url=url, records_password_file=tmp_path / "missing"))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+pg8000"])
def test_what_a_url_leaves_out_is_as_libpq_has_it(scheme: str) -> None:
    place = of(f"{scheme}://")
    assert place.url.drivername == "postgresql+pg8000"
    assert (place.url.username, place.url.host, place.url.port, place.url.database) == ("me", "localhost", 5432, "me")
    assert (place.elsewhere, place.tls.mode) == (False, "disable")


def test_a_directory_as_the_host_is_a_unix_socket() -> None:
    place = of("postgresql://:5433/db?host=/run/postgresql")
    assert (place.socket, place.elsewhere) == ("/run/postgresql/.s.PGSQL.5433", False)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]"])
def test_here(host: str) -> None:
    assert is_here(host)


@pytest.mark.parametrize(
    "host",
    ["db.example.org", "10.0.0.1", "0.0.0.0", "localhost.example.org", "localhost.", "127.0.0.1.nip.io", "2130706433",
     "::ffff:10.0.0.1", "fe80::1", "LOCALHOST "],
)  # fmt: skip
def test_elsewhere_or_not_certain(host: str) -> None:
    assert not is_here(host)


def test_another_machine_gets_no_content_and_is_spoken_to_with_tls_unless_told_otherwise() -> None:
    place = of("postgresql://db.example.org/x")
    assert (place.elsewhere, place.tls) == (True, Tls("verify-full"))
    assert "content of public records only" in place.in_words
    assert of("postgresql://db.example.org/x?sslmode=disable").tls.mode == "disable"
    assert of("postgresql://db.example.org/x?sslmode=require&sslrootcert=/x.crt").tls == Tls("require", Path("/x.crt"))
    by_option = of("postgresql://localhost/x?host=db.example.org")
    assert (by_option.elsewhere, by_option.url.host) == (True, "db.example.org")


def test_tls_is_verified_unless_it_is_told_not_to_be() -> None:
    verified, merely = tls_context(Tls("verify-full")), tls_context(Tls("require"))
    assert verified
    assert merely
    assert (verified.check_hostname, merely.check_hostname) == (True, False)
    assert tls_context(Tls("disable")) is False


@pytest.mark.parametrize(
    "url",
    [f"postgresql://me:{SECRET}@h:port/db", SECRET, f"mysql://me:{SECRET}@h/db", f"postgresql+psycopg://me:{SECRET}@h/db",
     f"postgresql://me:{SECRET}@h/db?options=x", f"postgresql://me:{SECRET}@h/db?sslmode=prefer",
     f"postgresql://me:{SECRET}@h/db?host=a&host=b", "://"],
)  # fmt: skip
def test_a_url_of_no_use_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"router\.records_url") as caught:
        of(url)
    assert SECRET not in caught.value.message
    assert len(caught.value.message) < 300


def test_a_place_never_shows_its_password() -> None:
    place = of(f"postgresql://me:{SECRET}@127.0.0.1:1/db")
    assert SECRET not in repr(place) + str(place) + place.name + place.in_words
    with pytest.raises(NotReady, match=r"check the server and router\.records_url") as caught:
        asyncio.run(Log.open(place))
    assert SECRET not in caught.value.message
    assert "127.0.0.1:1" in caught.value.message


def test_without_its_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pg8000", None)
    with pytest.raises(NotReady, match=r"install edgewise\[postgres\]"):
        asyncio.run(Log.open(of("postgresql://127.0.0.1:1/db")))
