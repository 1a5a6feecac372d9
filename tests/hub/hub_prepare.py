"""Debian's packages that the tests of the hub run, installed; needs root where one is missing.

``python tests/hub/hub_prepare.py``. No service of theirs is started, now or when the machine boots: the tests start
what they need themselves, on loopback, and stop it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from debian_programs import EVERY, MissingProgramError, Program, path_of

from labctl.local_hub.programs import obtain_programs

POLICY = Path("/usr/sbin/policy-rc.d")
"""Asked by every package's script whether it may start a service (invoke-rc.d(8))."""
REFUSE = "#!/bin/sh\nexit 101\n"
"""101: action forbidden by policy."""
CLUSTERS = Path("/etc/postgresql-common/createcluster.d/research-compute-tests.conf")
"""Read when PostgreSQL is installed, which else makes a cluster at once (pg_createcluster(1))."""
SERVICES = ("slapd.service", "prometheus.service", "postgresql.service")


def main() -> int:
    """Leave every program installed."""
    wanted = sorted({program.package for program in EVERY if not is_there(program)})
    if wanted:
        if os.geteuid() != 0:
            say(f"{', '.join(wanted)} are to be installed, which needs root")
            return 1
        say(f"installing {', '.join(wanted)}")
        with nothing_starts():
            apt("update", "--quiet")
            apt("install", "--yes", "--quiet", "--no-install-recommends", *wanted)
    obtain_programs(say)
    return 0


def is_there(program: Program) -> bool:
    """Return whether it need not be installed."""
    try:
        path_of(program)
    except MissingProgramError:
        return False
    return True


@contextmanager
def nothing_starts() -> Generator[None]:
    """Have packages start no service while this lasts, and never those of ours later."""
    systemctl = shutil.which("systemctl")
    for service in SERVICES if systemctl else ():
        if not Path("/lib/systemd/system", service).exists():
            # One that was here before is somebody's and goes on as it did.
            subprocess.run([str(systemctl), "mask", service], check=False, capture_output=True)
    CLUSTERS.parent.mkdir(parents=True, exist_ok=True)
    CLUSTERS.write_text("create_main_cluster = false\n", encoding="utf-8")
    is_ours = not POLICY.exists()
    if is_ours:
        POLICY.write_text(REFUSE, encoding="utf-8")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if is_ours:
            POLICY.unlink(missing_ok=True)


def apt(*arguments: str) -> None:
    """Run apt-get, which asks nobody anything."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    subprocess.run(["apt-get", *arguments], check=True, env=environment, stdout=sys.stderr)  # noqa: S607 - the system's


def say(line: str) -> None:
    """Tell whoever runs this."""
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
