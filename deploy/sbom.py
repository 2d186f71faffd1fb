"""A software bill of materials in CycloneDX, build/sbom.json: what `make sbom` writes.

Packages with their hashes from the two locks, with the licence that the installed one declares; the models of the
catalogue with the hashes that they are checked against; what is vendored.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from edge.models.digests import sha256
from edge.models.entries import BUILT_IN, Model

ROOT = Path(__file__).resolve().parent.parent
LOCKS = (ROOT / "requirements.lock", ROOT / "deploy" / "llama" / "requirements.lock")
VENDORED = ROOT / "router" / "page" / "vendor"
OUT = ROOT / "build" / "sbom.json"


def main() -> None:
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(document(), indent=1) + "\n", encoding="utf-8")
    print(f"written to {OUT.relative_to(ROOT)}")


def document() -> dict[str, Any]:
    found = _packages()
    for component in found["components"]:
        component["bom-ref"] = component["purl"]
        component.pop("description", None)  # a line of the lock
        if licence := _licence(component["name"]):
            component["licenses"] = licence
    found["components"] += [*map(_model, BUILT_IN), _uplot()]
    root = found["metadata"]["component"]["bom-ref"]
    refs = sorted(component["bom-ref"] for component in found["components"])
    found["dependencies"] = [{"ref": root, "dependsOn": refs}, *({"ref": ref} for ref in refs)]
    return found


def _packages() -> dict[str, Any]:
    lock = "\n".join(path.read_text(encoding="utf-8") for path in LOCKS)
    command = [
        sys.executable, "-m", "cyclonedx_py", "requirements", "--pyproject", str(ROOT / "pyproject.toml"),
        "--spec-version", "1.6", "--output-reproducible", "--no-validate", "-o", "-", "-",
    ]  # fmt: skip
    made = subprocess.run(command, input=lock, capture_output=True, text=True, check=True, cwd=ROOT)
    packages: dict[str, Any] = json.loads(made.stdout)
    return packages


def _licence(package: str) -> list[dict[str, Any]]:
    """As its metadata says it, if it is installed and says it in SPDX."""
    try:
        expression = metadata.metadata(package).get("License-Expression")
    except metadata.PackageNotFoundError:
        return []
    return [{"expression": expression}] if expression else []


def _model(model: Model) -> dict[str, Any]:
    return {
        "bom-ref": f"model:{model.name}",
        "type": "machine-learning-model",
        "name": model.name,
        "description": f"{model.label}, from {model.source}",
        "licenses": [{"license": {"id": model.licence}}],
        "components": [
            {
                "bom-ref": f"model:{model.name}/{file.name}",
                "type": "file",
                "name": file.name,
                "hashes": [{"alg": "SHA-256", "content": file.sha256}],
            }
            for file in model.files
        ],
    }


def _uplot() -> dict[str, Any]:
    directory = VENDORED / "uplot"
    version = (directory / "README.md").read_text(encoding="utf-8").split()[1]
    return {
        "bom-ref": f"pkg:npm/uplot@{version}",
        "type": "library",
        "name": "uplot",
        "version": version,
        "purl": f"pkg:npm/uplot@{version}",
        "licenses": [{"license": {"id": "MIT"}}],
        "components": [
            {
                "bom-ref": f"file:{path.name}",
                "type": "file",
                "name": path.name,
                "hashes": [{"alg": "SHA-256", "content": sha256(path)}],
            }
            for path in sorted(directory.glob("uPlot*"))
        ],
    }


if __name__ == "__main__":
    main()
