"""File < environment < flags, and nothing that is misspelt is ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud.config import CloudSettings
from edgewise import settings
from edgewise.errors import InvalidInput
from edgewise.settings import Section
from router.config import PrivacySettings, RouterSettings


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "edgewise.toml"
    monkeypatch.setenv("EDGEWISE_CONFIG", str(path))
    return path


def refusal(section: type[Section]) -> str:
    with pytest.raises(InvalidInput) as caught:
        settings.load(section)
    return caught.value.message


def test_without_any_place_the_defaults_hold() -> None:
    assert settings.load(RouterSettings) == RouterSettings()


def test_what_comes_later_wins(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('[router]\nmax_tokens = 11\npassages = 1\ndefault_mode = "agent"\n')
    monkeypatch.setenv("EDGEWISE_ROUTER__MAX_TOKENS", "22")
    monkeypatch.setenv("EDGEWISE_ROUTER__PASSAGES", "2")
    loaded = settings.load(RouterSettings, {"max_tokens": 33})
    assert (loaded.default_mode, loaded.passages, loaded.max_tokens) == ("agent", 2, 33)


def test_a_flag_that_is_none_was_not_given(file: Path) -> None:
    file.write_text("[router]\nmax_tokens = 11\n")
    assert settings.load(RouterSettings, {"max_tokens": None}).max_tokens == 11


def test_sections_do_not_mix(file: Path) -> None:
    file.write_text('[privacy]\nunknown = "hold"\n[router]\npassages = 7\n')
    assert settings.load(PrivacySettings).unknown == "hold"
    assert settings.load(RouterSettings).passages == 7


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[privacy]\nunknwon = "hold"\n', ("privacy.unknwon", "unknown")),
        ('[privcay]\nunknown = "hold"\n', ("privcay", "privacy")),
        ('[privacy]\nunknown = "alow"\n', ("privacy.unknown", "'allow' or 'hold'")),
        ("[privacy\n", ("edgewise.toml", "cannot be read")),
    ],
)
def test_a_fault_in_the_file_is_named_with_what_would_be_right(
    file: Path, content: str, words: tuple[str, ...]
) -> None:
    file.write_text(content)
    message = refusal(PrivacySettings)
    assert all(word in message for word in words), message


def test_a_file_that_is_not_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe[router]")
    assert "cannot be read" in refusal(RouterSettings)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("EDGEWISE_PRIVACY__UNKNWON", "hold", ("privacy.unknwon", "unknown")),
        ("EDGEWISE_PRIVCAY__UNKNOWN", "hold", ("EDGEWISE_PRIVCAY__UNKNOWN", "privacy")),
        ("EDGEWISE_PRIVACY_UNKNOWN", "hold", ("EDGEWISE_PRIVACY_UNKNOWN", "EDGEWISE_SECTION__KEY")),
        ("EDGEWISE_ROUTER__MAX_TOKENS", "many", ("router.max_tokens", "integer")),
        ("EDGEWISE_ROUTER__MAX_TOKENS", "0", ("router.max_tokens", "greater than or equal to 1")),
    ],
)
def test_a_fault_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv(variable, value)
    message = refusal(PrivacySettings if "PRIVACY" in variable else RouterSettings)
    assert all(word in message for word in words), message


def test_a_secret_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWISE_CLOUD__API_KEYY", "sk-secret-secret")
    monkeypatch.setenv("EDGEWISE_CLOUD__TIMEOUT_S", "sk-secret-secret")
    message = refusal(CloudSettings)
    assert "cloud.api_keyy" in message
    assert "sk-secret" not in message


def test_every_setting_says_what_it_is() -> None:
    for section in (RouterSettings, PrivacySettings):
        assert [key for key, field in section.model_fields.items() if not field.description] == []


def test_the_data_directory_comes_from_the_environment_then_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "edgewise.toml"
    file.write_text('data_dir = "/somewhere/else"\n', encoding="utf-8")
    monkeypatch.setenv("EDGEWISE_CONFIG", str(file))
    monkeypatch.delenv("EDGEWISE_DATA_DIR", raising=False)
    assert settings.data_dir() == Path("/somewhere/else")
    monkeypatch.setenv("EDGEWISE_DATA_DIR", str(tmp_path))
    assert settings.data_dir() == tmp_path
    monkeypatch.delenv("EDGEWISE_DATA_DIR")
    file.write_text("data_dir = 3\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="data_dir must be a path"):
        settings.data_dir()
