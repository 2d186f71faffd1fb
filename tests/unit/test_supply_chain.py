"""What goes into an installation: all of it pinned, all of it in the bill of materials."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy import bootstrap, sbom
from edge.models.entries import BUILT_IN


def test_the_bill_of_materials_is_valid_and_has_all_that_is_pinned() -> None:
    made = sbom.document()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(made)) is None
    components = {component["bom-ref"]: component for component in made["components"]}
    for lock in sbom.LOCKS:
        pins = re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
        for name, version in pins:
            [package] = [one for ref, one in components.items() if ref.startswith(f"pkg:pypi/{name}@{version}")]
            hashes = [found for place in package["externalReferences"] for found in place["hashes"]]
            assert all(found["content"] in lock.read_text(encoding="utf-8") for found in hashes)
            assert hashes
    models = {
        file["hashes"][0]["content"] for model in BUILT_IN for file in components[f"model:{model.name}"]["components"]
    }
    assert models == {file.sha256 for model in BUILT_IN for file in model.files}
    assert any(ref.startswith("pkg:npm/uplot@") for ref in components)
    assert sum("licenses" in one for one in components.values()) > len(components) / 3


def test_what_pip_fetches_has_to_have_its_hash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The source that is compiled here included; what comes without an index was made or given on this machine."""
    commands: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "CACHE", tmp_path)
    monkeypatch.setattr(bootstrap, "run", lambda _, command, **__: commands.append(command))
    (tmp_path / "given.whl").touch()
    bootstrap.install_packages()
    bootstrap.install_llama(tmp_path / "given.whl")
    with pytest.raises(bootstrap.SetupFailed):  # nothing was compiled
        bootstrap.build_wheel(tmp_path / "wheels" / "key")
    assert len(commands) == 4
    assert [command for command in commands if not {"--require-hashes", "--no-index"} & {*command}] == []
