"""Install what `make test-system` needs from the system: a PostgreSQL server and Chromium. Standard library only.

Nothing is done where both are there. As root on Debian or Ubuntu they are installed; elsewhere the script says how.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SERVERS = Path("/usr/lib/postgresql")
ADVICE = "  Debian, Ubuntu: apt-get install postgresql chromium      Fedora: dnf install postgresql-server chromium"


def has_postgresql() -> bool:
    return shutil.which("initdb") is not None or any(SERVERS.glob("*/bin/initdb"))


def has_chromium() -> bool:
    return any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))


def missing() -> list[str]:
    there = {"postgresql": has_postgresql(), "chromium": has_chromium()}
    return [name for name, is_there in there.items() if not is_there]


def main() -> int:
    wanted = missing()
    if not wanted:
        return 0
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"make test-system needs {' and '.join(wanted)}; install them first:\n{ADVICE}", file=sys.stderr)
        return 1
    print(f"installing {' and '.join(wanted)}", flush=True)
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *wanted]):
        done = subprocess.run(["apt-get", "-qq", *arguments], env=quietly, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            print(f"apt-get {arguments[0]} failed; look above, and run the same command again", file=sys.stderr)
            return 1
    return 1 if missing() else 0


if __name__ == "__main__":
    sys.exit(main())
