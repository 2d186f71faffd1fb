"""The product from outside: the command `edgewise`, in processes of its own, on real parts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edgewise.client import Client

EDGEWISE = str(Path(sys.executable).with_name("edgewise"))
ADDRESSES = ("--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0")

# What the device knows, what the cloud's corpus knows, and a question for each.
WORKSHOP = """\
# The Tarn workshop

The head of the Tarn workshop is Odile Varga. The Tarn workshop opens at half past seven in the morning.
"""
LIGHTHOUSE = "The Skarr lighthouse was built in 1871 by the engineer Henrik Dall.\n"
ABOUT_WORKSHOP = "Who is the head of the Tarn workshop?"
ABOUT_LIGHTHOUSE = "In which year was the Skarr lighthouse built?"
# Nothing here knows the answer.
ABOUT_NOTHING = "What is the middle name of Ozzo Brint's third horse?"


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGEWISE_")}
    return {**kept, "EDGEWISE_CONFIG": os.devnull, **(settings or {})}


def edgewise(
    *arguments: str | Path,
    data_dir: Path | None = None,
    settings: Mapping[str, str] | None = None,
    stdin: str | bytes = "",
) -> subprocess.CompletedProcess[str]:
    """A command, run to its end."""
    place = {"EDGEWISE_DATA_DIR": str(data_dir)} if data_dir else {}
    given = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [EDGEWISE, *map(str, arguments)],
        env=environment({**place, **(settings or {})}),
        input=given,
        capture_output=True,
        timeout=100,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running `edgewise up`."""

    process: subprocess.Popen[str]
    data_dir: Path
    grpc: str
    http: str
    log: Path

    @property
    def token(self) -> str:
        return (self.data_dir / "token").read_text().strip()

    @property
    def edge_pid(self) -> int:
        return child(self.process.pid, "edge")

    def client(self) -> Client:
        return Client.local(self.data_dir)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def up(data_dir: Path, *arguments: str | Path, settings: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """A daemon on free ports, from its `ready` line until SIGTERM."""
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir.with_name(f"{data_dir.name}.log")
    command = [EDGEWISE, "up", *ADDRESSES, "--data-dir", str(data_dir), *map(str, arguments)]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, env=environment(settings), stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("ready grpc="), log.read_text()
            grpc, http = (word.partition("=")[2] for word in line.split()[1:])
            yield Daemon(process, data_dir, grpc, http, log)
        finally:
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(30)
            process.kill()
        assert process.stdout.read() == "", "up writes one line to standard output"


@contextmanager
def informed(data_dir: Path) -> Iterator[Daemon]:
    """A daemon with the stand-in for a cloud, the workshop on the device and the lighthouse in the cloud's corpus."""
    device, corpus = data_dir.with_name("device"), data_dir.with_name("corpus")
    for directory, name, text in ((device, "workshop.md", WORKSHOP), (corpus, "lighthouse.txt", LIGHTHOUSE)):
        directory.mkdir(parents=True)
        (directory / name).write_text(text)
    with up(data_dir, "--embedded-cloud", "--corpus", corpus) as daemon:
        done = edgewise("ingest", device, data_dir=data_dir)
        assert done.returncode == 0, done.stderr
        yield daemon


def children(pid: int) -> dict[int, str]:
    """The children of a process and their command lines. Linux only."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == pid:
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
    return found


def child(pid: int, module: str) -> int:
    """The child that is `python -m MODULE`."""
    (found,) = (number for number, command in children(pid).items() if f" -m {module} " in command)
    return found


def runs(pid: int) -> bool:
    """Whether a process is there and more than a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}, not within {seconds:g} s"
        time.sleep(0.05)
