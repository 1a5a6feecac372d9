"""Keeps the access token of a server's user in a file beside the server, fresh, for command-line tools.

Runs in a container of its own in the server's pod, with the standard library of any Python from 3.7 on. The file is
there while the hub gives a token, whole at any moment, and goes when the hub says no or the token has ended. Tools find
it by BEARER_TOKEN_FILE (WLCG Bearer Token Discovery 1.0).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

FILE = "/run/lab-token/token"
"""Where the server sees it, unless the first argument names another."""
ASK_SECONDS = 30
"""For an answer: the hub may have to ask the identity provider first."""
AHEAD_SECONDS = 45
"""Before a token ends the next one is fetched; the hub renews those with a minute left, or half their life."""
AHEAD_SHARE = 0.4
"""Of a short token's life at most, for the same."""
MOST_SECONDS = 300
"""Between two questions at most: so long keeps the file whoever was struck off."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""In seconds, after an answer without a token; doubled each time."""
REFUSALS = (401, 403, 404)
"""What the hub answers where there is to be no token."""


class RefusedError(Exception):
    """The hub has said no."""


def ask(address: str, key: str) -> tuple[str, float]:
    """Return token and end, in seconds since 1970, as the hub tells them.

    Raises
    ------
    RefusedError
        If there is to be none.
    OSError, ValueError
        If the hub gives no answer, or none that is to be understood.
    """
    request = urllib.request.Request(address, headers={"Authorization": f"token {key}"})  # noqa: S310 - the hub's own
    # Never through a proxy that the image names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ASK_SECONDS) as answer:
            said = json.loads(answer.read().decode())
    except urllib.error.HTTPError as refusal:
        with refusal:
            if refusal.code in REFUSALS:
                raise RefusedError(refusal.code) from None
            raise
    try:
        return str(said["access_token"]), float(said["expires_at"])
    except (KeyError, TypeError) as wrong:
        message = "not an answer of the hub"
        raise ValueError(message) from wrong


def write(path: Path, token: str) -> None:
    """Have the file hold the token, and nobody but its owner read it."""
    made = path.with_name(f"{path.name}.new")
    remove(made)
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)
    made.replace(path)


def remove(path: Path) -> None:
    """Have no such file."""
    try:  # noqa: SIM105 - `contextlib` is one more thing to load in 32 MiB
        path.unlink()
    except FileNotFoundError:
        pass


def wait_of(left: float) -> float:
    """Return how long to wait after a token that lasts for so many seconds yet."""
    return min(MOST_SECONDS, max(FIRST_PAUSE, left - min(AHEAD_SECONDS, AHEAD_SHARE * left)))


def keep(path: Path, address: str, key: str) -> None:
    """Keep the file for good."""
    ends, pause, said = 0.0, FIRST_PAUSE, ""
    while True:
        try:
            token, ends = ask(address, key)
            write(path, token)
            now_said, wait, pause = "the token is there", wait_of(ends - time.time()), FIRST_PAUSE
        except RefusedError as refusal:
            remove(path)
            now_said, wait, pause = f"the hub gives no token: {refusal}", pause, min(2 * pause, LONGEST_PAUSE)
        except (OSError, ValueError) as problem:
            if ends <= time.time():
                remove(path)
            now_said, wait, pause = f"no answer: {type(problem).__name__}", pause, min(2 * pause, LONGEST_PAUSE)
        if now_said != said:
            print(now_said, flush=True)  # noqa: T201 - the container's log
            said = now_said
        time.sleep(wait)


def end(_number: int, _frame: object) -> None:
    """Leave, by way of what removes the file."""
    sys.exit(0)


def main() -> None:
    """Keep the token of the server whose variables these are."""
    # The first process of a container ignores what it does not handle.
    signal.signal(signal.SIGTERM, end)
    path = Path(sys.argv[1] if len(sys.argv) > 1 else FILE)
    name = urllib.parse.quote(os.environ["JUPYTERHUB_USER"], safe="")
    try:
        keep(path, f"{os.environ['JUPYTERHUB_API_URL']}/users/{name}/lab-token", os.environ["JUPYTERHUB_API_TOKEN"])
    finally:
        remove(path)


if __name__ == "__main__":
    main()
