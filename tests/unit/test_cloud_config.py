from __future__ import annotations

import re
import textwrap
import tomllib
from pathlib import Path

import pytest

from cloud.config import CloudSettings, Fallback
from edgewise import settings
from edgewise.errors import InvalidInput, NotReady
from edgewise.place import read_secret


@pytest.fixture(autouse=True)
def _no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWISE_CONFIG", str(tmp_path / "edgewise.toml"))


def test_the_default_is_no_cloud() -> None:
    loaded = settings.load(CloudSettings)
    assert loaded.backend is None
    assert loaded.address == ""


def test_the_environment_sets_numbers_lists_and_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWISE_CLOUD__API_KEY", "sk-secret")
    monkeypatch.setenv("EDGEWISE_CLOUD__TIMEOUT_S", "2.5")
    monkeypatch.setenv("EDGEWISE_CLOUD__CORPORA", "a:b")
    monkeypatch.setenv("EDGEWISE_CLOUD__OMIT", "seed,stream_options")
    loaded = settings.load(CloudSettings)
    assert loaded.read_api_key() == "sk-secret"
    assert loaded.timeout_s == 2.5
    assert loaded.corpora == (Path("a"), Path("b"))
    assert loaded.omit == ("seed", "stream_options")


def test_a_secret_is_not_shown() -> None:
    loaded = CloudSettings.model_validate({"api_key": "sk-secret"})
    assert "sk-secret" not in f"{loaded!r} {loaded} {loaded.model_dump_json()}"


def test_a_key_comes_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-secret\n")
    assert CloudSettings(api_key_file=file).read_api_key() == "sk-secret"
    assert CloudSettings().read_api_key() == ""


def test_a_bad_secret_file_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    with pytest.raises(NotReady, match="cannot be read; check the path"):
        read_secret(tmp_path / "missing", "cloud.api_key_file")
    with pytest.raises(NotReady, match=r"cloud\.token_file: .* is empty"):
        read_secret(empty, "cloud.token_file")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"base_url": "ftp://somewhere"}, "must be an http"),
        ({"base_url": "http://somewhere:port/v1"}, "cloud.base_url"),
        ({"usd_per_mtok_prompt": 1.0}, "set both"),
        ({"backend": "magic"}, "cloud.backend"),
        ({"timeout_s": 0}, "cloud.timeout_s"),
        ({"timeout": 5}, "cloud.timeout is not a setting"),
        ({"fallback": [{"modell": "m"}]}, "cloud.fallback.0.modell is not a setting; there are api_key_file"),
        ({"fallback": [{"base_url": "ftp://somewhere"}]}, "cloud.fallback.0.base_url"),
        ({"fallback": [{"usd_per_mtok_prompt": 1}]}, "set both"),
        ({"fallback": [{}] * 9}, "cloud.fallback"),
        ({"usd_per_mtok_cached": 1.0}, "usd_per_mtok_cached"),
    ],
)
def test_a_bad_setting_is_refused(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        settings.load(CloudSettings, given)


def test_the_operators_price_wins() -> None:
    hosted = CloudSettings(base_url="https://api.openai.com/v1", model="gpt-4o-mini")
    price = hosted.billed_price()
    assert price is not None
    assert price.as_of
    own = hosted.model_copy(update={"usd_per_mtok_prompt": 1.0, "usd_per_mtok_completion": 2.0}).billed_price()
    assert own is not None
    assert own.usd_per_mtok_completion == 2.0
    assert CloudSettings(base_url="http://127.0.0.1:1/v1", model="gpt-4o-mini").billed_price() is None


def test_a_fallback_has_the_firsts_settings_but_not_its_secrets_and_prices_for_another() -> None:
    given = {
        "base_url": "https://one.example/v1",
        "model": "m",
        "api_key": "sk-secret",
        "timeout_s": 7,
        "omit": ("seed",),
        "parameters": 1e9,
        "usd_per_mtok_prompt": 1,
        "usd_per_mtok_completion": 2,
        "fallback": [
            {"model": "small", "timeout_s": 3},
            {"base_url": "https://two.example/v1", "omit": []},
            {"base_url": "http://one.example/v1"},
            {"base_url": "https://one.example/v2", "usd_per_mtok_prompt": 5, "usd_per_mtok_completion": 6},
        ],
    }
    first, small, two, plain, other = CloudSettings.model_validate(given).upstreams()
    assert [each.model for each in (first, small, two)] == ["m", "small", "m"]
    assert [each.timeout_s for each in (first, small, two)] == [7, 3, 7]
    assert [each.omit for each in (first, small, two)] == [("seed",), ("seed",), ()]
    assert [each.read_api_key() for each in (first, small, two, plain, other)] == ["sk-secret"] * 2 + [""] * 2 + [
        "sk-secret"
    ]
    assert [each.own_price() is None for each in (first, small, two, plain)] == [False, True, True, True]
    assert [each.parameters for each in (first, small, two)] == [1e9, None, 1e9]
    price = other.own_price()
    assert price is not None
    assert price.usd_per_mtok_completion == 6


def test_a_password_in_the_url_is_not_shown() -> None:
    assert CloudSettings(base_url="http://me:secret@host:8000/v1").server == "host:8000"


def test_the_examples_in_the_readme_are_valid() -> None:
    readme = (Path(__file__).parents[2] / "cloud" / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"(?:^    \[cloud\]\n)(?:(?:    .*)?\n)+", readme, re.MULTILINE)
    tables = [tomllib.loads(textwrap.dedent(each))["cloud"] for each in examples]
    of_router, first, several = [settings.load(CloudSettings, table) for table in tables]
    assert of_router.address.startswith("https://")
    assert first.backend == several.backend == "openai_compatible"
    assert first.own_price() is not None
    assert [each.billed_price() is not None for each in several.upstreams()] == [True, True]


def test_every_setting_is_described() -> None:
    for section in (CloudSettings, Fallback):
        for name, field in section.model_fields.items():
            assert field.description, name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"address": "http://gateway:50052"}, "https://HOST:PORT"),
        ({"address": "https://gateway"}, "https://HOST:PORT"),
        ({"address": "https://gateway:1/path"}, "https://HOST:PORT"),
        ({"tls_cert_file": "c"}, "both of tls_cert_file and tls_key_file"),
        ({"client_key_file": "k"}, "both of client_cert_file and client_key_file"),
        ({"client_ca_file": "a"}, "client_ca_file needs TLS"),
        ({"address": "gateway:1", "ca_file": "a"}, "need TLS"),
        ({"stop_grace_s": 31}, "less than or equal to 30"),
    ],
)
def test_settings_that_would_leave_tls_out_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        settings.load(CloudSettings, given)


@pytest.mark.parametrize("address", ["https://gateway:50052", "https://[::1]:1", "127.0.0.1:1", "unix:/run/x", ""])
def test_addresses_of_a_gateway(address: str) -> None:
    assert settings.load(CloudSettings, {"address": address}).address == address
