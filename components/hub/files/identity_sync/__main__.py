"""``python -m lab.identity_sync SETTINGS``: rounds without end, until it is told to stop."""

from __future__ import annotations

import datetime as dt
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from .cluster import ApiServer, TableObject
from .directory import read_directory
from .errors import RoundError, SettingsError
from .rounds import Sync, read_password
from .settings import read_settings

if TYPE_CHECKING:
    from types import FrameType

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where every pod finds its account."""
RETRY_SECONDS = 60
"""After a round that failed, at most: the directory is often back soon."""
GOOD, ROUND = "good", "round"
"""Files whose age `alive` looks at: of the last good round, and of the last round at all."""


def main(arguments: list[str]) -> int:
    """Run until SIGTERM; return the exit status: 0, or 2 without settings."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    log = logging.getLogger("identity-sync")
    try:
        (path,) = arguments
        settings = read_settings(Path(path))
    except (ValueError, SettingsError) as problem:
        log.error("%s", problem)  # noqa: TRY400 - the message says it all
        return 2
    account = Path(os.environ.get("IDENTITY_SYNC_ACCOUNT", ACCOUNT))
    server = ApiServer(_address(), account / "ca.crt", account / "token")
    table = TableObject(server, settings["namespace"], settings["configMap"])
    password, state = Path(os.environ["IDENTITY_SYNC_PASSWORD"]), Path(os.environ["IDENTITY_SYNC_STATE"])
    sync = Sync(settings, table, read_directory, log)
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    # The first process of a container hears only the signals it asks for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while not stopped.is_set():
        pause = settings["everySeconds"]
        try:
            sync.once(read_password(password), dt.datetime.now(dt.UTC))
            (state / GOOD).touch()
        except (RoundError, OSError) as problem:
            log.error("%s", problem)  # noqa: TRY400 - the message says it all
            pause = min(pause, RETRY_SECONDS)
        (state / ROUND).touch()
        stopped.wait(pause)
    return 0


def _address() -> str:
    """Return the API server's address, as every pod is told it."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
