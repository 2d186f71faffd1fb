"""Set-up: what it depends on, when it has nothing to do, and what it says when something is missing."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deploy import bootstrap
from tests.bench import llama_server


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(bootstrap, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / "stamp.json")
    for name in bootstrap.CHOICES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


# --- pins -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", [bootstrap.LOCK, bootstrap.LLAMA_LOCK], ids=["packages", "llama"])
def test_everything_is_pinned_with_a_hash_and_from_no_particular_registry(lock: Path) -> None:
    entries = re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8").strip())
    assert [
        entry[:80] for entry in entries if not re.match(r"[a-z0-9._-]+==\S+.*--hash=sha256:", entry, re.DOTALL)
    ] == []
    assert "://" not in lock.read_text(encoding="utf-8")


def test_the_locks_hold_what_the_project_asks_for() -> None:
    """Presidio and its 400 MB are nobody's here who does not ask for them."""
    project = tomllib.loads((bootstrap.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(line for name, extra in project["optional-dependencies"].items() if name != "privacy" for line in extra),
    ]
    names = {re.split(r"[\[=<>]", line)[0] for line in wanted} - {"edgewise"}
    locks = bootstrap.LOCK.read_text(encoding="utf-8") + bootstrap.LLAMA_LOCK.read_text(encoding="utf-8")
    assert names - set(re.findall(r"^([a-z0-9._-]+)==", locks, re.MULTILINE)) == set()
    assert {line for line in wanted if re.search(r"[^<>]==[0-9.]+$", line)} <= set(
        re.findall(r"^\S+==\S+", locks, re.MULTILINE)
    )


# --- nothing to do ----------------------------------------------------------------------------------------------------


def test_a_stamp_is_current_until_something_that_it_was_made_from_changes(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    model = cache / "models" / "small" / "model.gguf"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"GGUF")
    assert not bootstrap.is_current(bootstrap.read_stamp())
    bootstrap.write_stamp()
    stamp = bootstrap.read_stamp()
    assert bootstrap.is_current(stamp)
    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "processor", lambda: "another one")
        assert not bootstrap.is_current(stamp)
    model.unlink()
    assert not bootstrap.is_current(stamp)


def test_a_choice_holds_until_another_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWISE_LLAMA_WHEEL", "/given.whl")
    bootstrap.write_stamp()
    assert bootstrap.is_current(bootstrap.read_stamp())
    monkeypatch.setenv("EDGEWISE_LLAMA_WHEEL", "/another.whl")
    assert not bootstrap.is_current(bootstrap.read_stamp())
    monkeypatch.delenv("EDGEWISE_LLAMA_WHEEL")
    assert bootstrap.is_current(bootstrap.read_stamp())
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_CUDA=on")
    assert not bootstrap.is_current(bootstrap.read_stamp())


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_a_broken_stamp_counts_as_none(content: bytes) -> None:
    bootstrap.STAMP.write_bytes(content)
    assert bootstrap.read_stamp() == {}


# --- llama.cpp --------------------------------------------------------------------------------------------------------


def test_a_wheel_is_kept_for_one_processor_and_one_set_of_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {bootstrap.wheel_key()}
    assert bootstrap.wheel_key() in keys
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_BLAS=ON")
    keys.add(bootstrap.wheel_key())
    monkeypatch.setattr(bootstrap, "processor", lambda: "another one")
    keys.add(bootstrap.wheel_key())
    monkeypatch.setattr(bootstrap, "compiler", lambda: "another one")
    keys.add(bootstrap.wheel_key())
    assert len(keys) == 4


def test_a_wheel_is_compiled_again_for_another_kernel_and_the_server_to_measure_by_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = {bootstrap.wheel_key(): llama_server.folder()}
    shutil.copytree(bootstrap.KERNELS, tmp_path / "kernels")
    monkeypatch.setattr(bootstrap, "KERNELS", tmp_path / "kernels")
    for file in ("products.h", "memory.cpp"):
        with (tmp_path / "kernels" / file).open("a") as source:
            source.write("// another one\n")
        keys[bootstrap.wheel_key()] = llama_server.folder()
    assert (len(keys), len(set(keys.values()))) == (3, 1)


def test_a_kept_wheel_is_not_compiled_again(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    kept = cache / "wheels" / bootstrap.wheel_key() / "llama.whl"
    kept.parent.mkdir(parents=True)
    kept.touch()
    monkeypatch.setattr(bootstrap, "run", lambda *_, **__: pytest.fail("nothing is to be run"))
    assert bootstrap.cached_wheel() == kept


def test_a_machine_without_a_compiler_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(bootstrap.SetupFailed, match=r"no cmake.*\n(?s:.*)apt-get install cmake g\+\+"):
        bootstrap.check_toolchain()
    cmake = tmp_path / "cmake"
    cmake.touch(mode=0o755)
    with pytest.raises(bootstrap.SetupFailed, match=r"no C\+\+ compiler.*\n(?s:.*)apt-get install cmake g\+\+"):
        bootstrap.check_toolchain()


def test_a_wheel_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(bootstrap.SetupFailed, match="is not a file; EDGEWISE_LLAMA_WHEEL"):
        bootstrap.install_llama(tmp_path / "none.whl")


def test_an_environment_that_is_only_linked_is_not_emptied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    precious = tmp_path / "elsewhere" / "file"
    precious.parent.mkdir()
    precious.touch()
    (tmp_path / ".venv").symlink_to(precious.parent)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    with pytest.raises(bootstrap.SetupFailed, match="is a link"):
        bootstrap.make_venv(moved=True)
    assert precious.exists()


# --- running ----------------------------------------------------------------------------------------------------------


def test_a_failed_step_shows_the_end_of_its_log_and_what_to_do(cache: Path) -> None:
    command = ["sh", "-c", "seq 100; echo it broke >&2; exit 1"]
    with pytest.raises(bootstrap.SetupFailed) as failure:
        bootstrap.run("a step", command, advice="Mend it.")
    message = str(failure.value)
    assert str(cache / "logs" / "setup-a-step.log") in message
    assert "| it broke" in message
    assert "| 1\n" not in message
    assert message.endswith("Mend it.")


def test_an_interrupted_set_up_leaves_nothing_behind_but_its_log(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"  # its end is seen when the last process that could write to it has gone
    os.mkfifo(pipe)
    script = (
        "import signal, sys; sys.path.insert(0, sys.argv[1]); from deploy import bootstrap\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "bootstrap.run('wait', ['sh', '-c', 'exec 3>\"$0\"; sleep 600 & echo up >&3; wait', sys.argv[2]], advice='')"
    )
    command = [sys.executable, "-c", script, str(bootstrap.ROOT), str(pipe)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as setup, pipe.open() as alive:
        assert alive.readline() == "up\n"
        setup.send_signal(signal.SIGTERM)
        assert alive.read() == ""
    assert [path.name for path in (tmp_path / "edgewise").iterdir()] == ["logs"]


# --- the whole --------------------------------------------------------------------------------------------------------


@pytest.mark.system
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare (util-linux) makes the network namespace")
def test_a_second_set_up_needs_no_network_and_says_nothing() -> None:
    command = [
        "unshare",
        "--map-root-user",
        "--net",
        "make",
        "--no-print-directory",
        "-C",
        str(bootstrap.ROOT),
        "setup",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
