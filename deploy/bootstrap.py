"""Make .venv ready: pinned packages, llama.cpp compiled for this processor, the models. `make setup` runs it.

Standard library only: nothing is installed yet. The first run takes minutes and shows what it is doing; a later one
compares a stamp in .venv with what the set-up would be made from, and ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "edgewise-setup.json"
LOCK = ROOT / "requirements.lock"
LLAMA_LOCK = ROOT / "deploy" / "llama" / "requirements.lock"
LLAMA_CMAKE = ROOT / "deploy" / "llama" / "build.cmake"
WHEEL_CMAKE = ROOT / "deploy" / "llama" / "wheel.cmake"
KERNELS = ROOT / "edge" / "llama" / "kernels"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgewise"
CHOICES = ("EDGEWISE_LLAMA_WHEEL", "CMAKE_ARGS", "CC", "CXX", "CFLAGS", "CXXFLAGS")
PIP = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]

TOOLCHAIN = (
    "llama.cpp is compiled for this processor, which takes CMake 3.21 or newer and a C++ compiler:\n"
    "  Debian, Ubuntu: apt-get install cmake g++      Fedora: dnf install cmake gcc-c++\n"
    "  macOS: xcode-select --install, and CMake from its web site or a package manager\n"
    "A llama-cpp-python wheel from elsewhere will do as well: EDGEWISE_LLAMA_WHEEL=/path/to.whl make setup"
)
NETWORK = "Check the network and pip's settings (`pip config list`), then run the same command again."


class SetupFailed(Exception):
    """What went wrong and what to do about it, in words for the user."""


def main() -> int:
    if sys.hexversion < 0x030B0000:
        print(f"Edgewise needs Python 3.11 or newer and this is {platform.python_version()}.", file=sys.stderr)
        print("Name another one: make PYTHON=python3.12 setup", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Path(__file__).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two `make` at once: the second one waits and then finds the work done
        try:
            ensure_ready()
        except SetupFailed as failure:
            print(f"\nset-up failed: {failure}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nset-up interrupted; what is done is kept, run the same command again to go on", file=sys.stderr)
            return 130
    return 0


def ensure_ready() -> None:
    stamp = read_stamp()
    if is_current(stamp):
        return
    started = time.monotonic()
    print("Setting up .venv. The first time takes a few minutes: llama.cpp is compiled for this machine.", flush=True)
    given = choices().get("EDGEWISE_LLAMA_WHEEL")
    if not given:
        check_toolchain()  # before minutes have gone by
    make_venv(moved=stamp.get("root", str(ROOT)) != str(ROOT))
    install_packages()
    install_llama(Path(given).expanduser() if given else cached_wheel())
    pull_models()
    write_stamp()
    print(f"set-up done in {clock(time.monotonic() - started)}", flush=True)


# --- the stamp --------------------------------------------------------------------------------------------------------


def setup_key() -> str:
    """A hash of everything that the contents of .venv follow from, the processor included."""
    sources = [LOCK, LLAMA_LOCK, *wheel_sources(), ROOT / "pyproject.toml", Path(__file__)]
    parts = [path.read_bytes() for path in sources]
    return hashlib.sha256(b"\0".join([*parts, str(ROOT).encode(), processor().encode()])).hexdigest()


def read_stamp() -> dict[str, object]:
    try:
        stamp = json.loads(STAMP.read_bytes())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def choices() -> dict[str, str]:
    """What the user wants otherwise, in the environment."""
    return {name: value for name in CHOICES if (value := os.environ.get(name))}


def is_current(stamp: dict[str, object]) -> bool:
    """A choice that is not repeated is still good: `make test` after `EDGEWISE_LLAMA_WHEEL=... make setup` keeps it."""
    made_with, models = stamp.get("choices"), stamp.get("models")
    return (
        stamp.get("key") == setup_key()
        and isinstance(made_with, dict)
        and choices().items() <= made_with.items()
        and isinstance(models, list)
        and all(Path(model).exists() for model in models)
    )


def write_stamp() -> None:
    models = [str(path) for path in sorted((CACHE / "models").glob("[!.]*/[!.]*"))]
    stamp = {"key": setup_key(), "root": str(ROOT), "choices": choices(), "models": models}
    STAMP.write_text(json.dumps(stamp, indent=1), encoding="utf-8")


# --- the steps --------------------------------------------------------------------------------------------------------


def make_venv(*, moved: bool) -> None:
    """A moved checkout gets a new one, because the scripts in it begin with the old path."""
    if VENV.is_symlink():
        raise SetupFailed(f"{VENV} is a link, and what it points to would be emptied; remove the link")
    if not moved and (VENV / "bin" / "python").exists() and (VENV / "bin" / "pip").exists():
        return
    run(
        "virtual environment",
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        advice="Python's venv module is needed: on Debian and Ubuntu, apt-get install python3-venv.",
    )


def install_packages() -> None:
    total = len(re.findall(r"^\S+==", LOCK.read_text(encoding="utf-8"), re.MULTILINE))

    def stage(log: str) -> str:
        if "Installing collected packages" in log:
            return "installing"
        return f"{len(re.findall(r'^(?:Collecting|Requirement already)', log, re.MULTILINE))} of about {total}"

    # Modules are compiled when they are first imported: doing it for all of them takes pip longer than all the rest.
    install = [*PIP, "install", "--no-compile"]
    run("packages", [*install, "--require-hashes", "-r", str(LOCK)], stage=stage, advice=NETWORK)
    run("edgewise", [*install, "--no-deps", "--no-index", "--no-build-isolation", "-e", str(ROOT)], advice=NETWORK)


def install_llama(wheel: Path) -> None:
    if not wheel.is_file():
        raise SetupFailed(f"{wheel} is not a file; EDGEWISE_LLAMA_WHEEL names a llama-cpp-python wheel")
    command = [*PIP, "install", "--no-compile", "--no-deps", "--no-index", "--force-reinstall", str(wheel)]
    run("llama.cpp", command, advice="The wheel does not fit this machine or this Python.")


def pull_models() -> None:
    """Shows its own progress bar."""
    if subprocess.run([VENV / "bin" / "edgewise", "models", "pull"], check=False).returncode != 0:
        raise SetupFailed("the models could not be fetched (see above); run the same command again")


# --- llama.cpp --------------------------------------------------------------------------------------------------------


def check_toolchain() -> None:
    if shutil.which("cmake") is None:
        raise SetupFailed(f"there is no cmake on this machine.\n{TOOLCHAIN}")
    compiler()


def cached_wheel() -> Path:
    """The wheel for this processor and compiler, compiled unless the user's cache has it."""
    folder = CACHE / "wheels" / wheel_key()
    found = sorted(folder.glob("*.whl"))
    return found[0] if found else build_wheel(folder)


def wheel_key() -> str:
    return build_key(wheel_sources())


def wheel_sources() -> list[Path]:
    """What goes into the wheel from here."""
    return [LLAMA_CMAKE, WHEEL_CMAKE, *sorted(KERNELS.glob("*.cpp")), *sorted(KERNELS.glob("*.h"))]


def build_key(sources: list[Path]) -> str:
    """Of these files, the package with its hash, the flags, the compiler and the processor that it is compiled for."""
    contents = [path.read_text(encoding="utf-8") for path in [LLAMA_LOCK, *sources]]
    parts = [*contents, json.dumps(choices()), compiler(), processor()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def build_wheel(folder: Path) -> Path:
    def stage(log: str) -> str:
        steps = re.findall(r"^\s*\[(\d+)/(\d+)\]", log, re.MULTILINE)
        return f"step {steps[-1][0]} of {steps[-1][1]}" if steps else "downloading the source"

    hook = f"-DCMAKE_PROJECT_llama_cpp_INCLUDE={shlex.quote(str(WHEEL_CMAKE))}"
    environment = {
        "CMAKE_BUILD_PARALLEL_LEVEL": os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count() or 1)),
        "CMAKE_ARGS": f"{hook} {os.environ.get('CMAKE_ARGS', '')}",
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder.parent) as work:
        # pip's own cache would hand out a wheel that was compiled with other flags.
        wheel = [*PIP, "wheel", "--verbose", "--no-deps", "--no-build-isolation", "--no-cache-dir", "--wheel-dir", work]
        command = [*wheel, "--require-hashes", "-r", str(LLAMA_LOCK)]
        run("compiling llama.cpp", command, stage=stage, environment=environment, advice=TOOLCHAIN)
        folder.mkdir(exist_ok=True)
        for built in Path(work).glob("*.whl"):
            return built.replace(folder / built.name)
    raise SetupFailed(f"pip made no wheel of llama-cpp-python.\n{TOOLCHAIN}")


def compiler() -> str:
    command = shlex.split(os.environ.get("CXX", "")) or [shutil.which("c++") or shutil.which("g++") or ""]
    try:
        version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise SetupFailed(f"there is no C++ compiler on this machine.\n{TOOLCHAIN}") from None
    return version.stdout.partition("\n")[0]


def processor() -> str:
    """Its model and instruction set, as the operating system names them."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        first = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
        wanted = re.findall(
            r"^(?:model name|flags|CPU implementer|CPU part|Features|isa|uarch)\s*:.*", first, re.MULTILINE
        )
        return "\n".join([platform.machine(), *wanted])
    brand = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False)
    return f"{platform.machine()}\n{brand.stdout.strip()}"


# --- running and showing ----------------------------------------------------------------------------------------------


def run(
    title: str,
    command: list[str],
    *,
    advice: str,
    stage: Callable[[str], str] = lambda _log: "",
    environment: dict[str, str] | None = None,
) -> None:
    """Run a command with its output in a log, and show the time and what `stage` makes of the log so far."""
    log = CACHE / "logs" / f"setup-{title.replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    started, shown = time.monotonic(), 0.0
    # pip leaves its temporary files behind when it is ended; these go with the directory.
    scratch = tempfile.TemporaryDirectory(prefix=".setup-", dir=CACHE, ignore_cleanup_errors=True)
    with scratch, log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {}), "TMPDIR": scratch.name},
            start_new_session=True,  # so that an interrupt ends the compilers below pip too
        )
        try:
            while process.poll() is None:
                time.sleep(0.1)
                elapsed = time.monotonic() - started
                if elapsed - shown >= (1 if sys.stdout.isatty() else 15):
                    show(title, stage(log.read_text(encoding="utf-8", errors="replace")), elapsed, end=False)
                    shown = elapsed
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
    if process.returncode != 0:
        fail(title, log, advice)
    show(title, "done", time.monotonic() - started, end=True)


def show(title: str, stage: str, elapsed: float, *, end: bool) -> None:
    """One line that is written over on a terminal; elsewhere a line each time."""
    line = f"  {title:<20} {stage:<24} {clock(elapsed)}"
    if sys.stdout.isatty():
        print(f"\r{line}\x1b[K", end="\n" if end else "", flush=True)
    else:
        print(line, flush=True)


def fail(title: str, log: Path, advice: str) -> NoReturn:
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
    quoted = "\n".join(f"  | {line[:200]}" for line in tail)
    raise SetupFailed(f"{title}. The end of {log}:\n{quoted}\n{advice}")


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


if __name__ == "__main__":
    sys.exit(main())
