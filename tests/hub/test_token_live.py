"""Tokens of a real identity provider in servers of a real hub, and the program that keeps them in a file."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from oidc_bed import ACCESS_SECONDS, ANA, BO, CLIENT_SECRET, Provider, oidc_provider, signed_in
from signin_bed import FILES, Browser, Hub, eventually, free_port, running, sign_in_hub
from token_bed import SERVERS, ask, given, start, stop, token_of

pytestmark = pytest.mark.skipif(
    os.environ.get("LAB_TESTS") != "all", reason="runs an OpenID Connect provider from npm: needs LAB_TESTS=all"
)

OPS = {"preferred_username": "ops", "groups": ["operators"]}


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def provider(tmp_path: Path, port: int) -> Generator[Provider]:
    with oidc_provider(tmp_path / "provider", f"http://127.0.0.1:{port}/hub/oauth_callback") as made:
        made.claim({"sub-ana": ANA, "sub-bo": BO, "sub-ops": OPS})
        yield made


def token_hub(folder: Path, provider: Provider, port: int, refresh_seconds: int = 1) -> AbstractContextManager[Hub]:
    callback = {"oauth_callback_url": f"http://127.0.0.1:{port}/hub/oauth_callback"}
    return sign_in_hub(
        folder,
        provider.section(),
        CLIENT_SECRET,
        port=port,
        more=SERVERS,
        GenericOAuthenticator=callback,
        LabSignIn={"auth_refresh_age": refresh_seconds},
    )


@pytest.fixture
def refresh_seconds() -> int:
    """Return how old the hub lets grow what it knows of somebody; a test may say otherwise."""
    return 1


@pytest.fixture
def hub(tmp_path: Path, provider: Provider, port: int, refresh_seconds: int) -> Generator[Hub]:
    with token_hub(tmp_path / "hub", provider, port, refresh_seconds) as made:
        yield made
        for user in ("ana", "bo", "ops"):
            if made.knows(user):
                stop(made, user)


@contextmanager
def kept(hub: Hub, user: str, file: Path) -> Generator[Path]:
    """Run the program beside somebody's server while this lasts."""
    command = [sys.executable, "-I", str(FILES / "keep_token.py"), str(file)]
    with running(command, file.with_suffix(".log"), lambda: True, given(hub, user)):
        yield file


def session_at_server(hub: Hub, browser: Browser, user: str) -> str:
    """Return the token that somebody's server gets for a browser that opens it (OAuth, as jupyterhub-singleuser)."""
    back = f"/user/{user}/oauth_callback"
    client = given(hub, user)["JUPYTERHUB_CLIENT_ID"]
    asked = f"client_id={client}&redirect_uri={quote(back, safe='')}&response_type=code&state=any"
    arrived = browser.get(f"/hub/api/oauth2/authorize?{asked}")
    pages = [str(page.url) for page in (*arrived.history, arrived)]
    code = next(found[1] for page in pages if (found := re.search(r"oauth_callback\?code=([^&]+)", page)))
    form = {
        "client_id": client,
        "client_secret": given(hub, user)["JUPYTERHUB_API_TOKEN"],
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": back,
    }
    return str(httpx2.post(f"{hub.url}/hub/api/oauth2/token", data=form).json()["access_token"])


def accepts(provider: Provider, token: str) -> bool:
    """Return whether the provider takes a token for one of its own."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.get(f"{provider.url}/me", headers=headers, verify=provider.trusted).status_code == 200


# With 300 s nobody but who asks for the token renews it; with 1 s every request does, at the same time.
@pytest.mark.parametrize("refresh_seconds", [1, 300])
def test_a_server_is_handed_its_users_token_again_and_again_and_nothing_else(hub: Hub, provider: Provider) -> None:
    browser = signed_in(hub, provider, "sub-ana")
    start(hub, "ana")
    key = given(hub, "ana")["JUPYTERHUB_API_TOKEN"]
    seen: set[str] = set()
    end = time.monotonic() + 4 * ACCESS_SECONDS
    while time.monotonic() < end:
        # As many at once as a page and a container together never are: a refresh token serves once.
        with ThreadPoolExecutor(6) as several:
            answers = list(several.map(ask, [hub] * 6, ["ana"] * 6, [key] * 6))
        for answer in answers:
            assert answer.status_code == 200, answer.text
            assert set(answer.json()) == {"access_token", "expires_at"}
            assert answer.headers["Cache-Control"] == "no-store"
            assert 0 <= answer.json()["expires_at"] - time.time() + 1 <= ACCESS_SECONDS + 1
            seen.add(answer.json()["access_token"])
        assert accepts(provider, answers[-1].json()["access_token"])
        assert browser.is_in()
        state = hub.state("ana")
        assert state["refresh_token"]
        assert str(state["refresh_token"]) not in "".join(answer.text for answer in answers)
        time.sleep(0.7)
    assert len(seen) >= 3
    log = hub.log()
    assert "no new access token" not in log
    assert "Error using refresh_token" not in log
    assert not [token for token in seen if token in log]


def test_nobody_else_is_handed_it(hub: Hub, provider: Provider) -> None:
    browser = signed_in(hub, provider, "sub-ana")
    signed_in(hub, provider, "sub-bo")
    signed_in(hub, provider, "sub-ops")
    for user in ("ana", "bo", "ops"):
        start(hub, user)
    assert token_of(hub, "ana") != token_of(hub, "bo")
    # Another user's server, an administrator's one, a service that may read what is kept of sign-ins.
    for key in (given(hub, "bo")["JUPYTERHUB_API_TOKEN"], given(hub, "ops")["JUPYTERHUB_API_TOKEN"], hub.token):
        assert ask(hub, "ana", key).status_code == 403
    assert hub.user("ops")["admin"] is True
    made = httpx2.post(f"{hub.url}/hub/api/users/ops/tokens", json={}, headers={"Authorization": f"token {hub.token}"})
    assert ask(hub, "ana", str(made.json()["token"])).status_code == 403
    # The user's own: of their browser, and one they made for a script.
    assert browser.get("/hub/api/users/ana").status_code == 200
    assert browser.get("/hub/api/users/ana/lab-token").status_code == 403
    own = httpx2.post(f"{hub.url}/hub/api/users/ana/tokens", json={}, headers={"Authorization": f"token {hub.token}"})
    assert ask(hub, "ana", str(own.json()["token"])).status_code == 403
    assert httpx2.get(f"{hub.url}/hub/api/users/ana/lab-token").status_code == 403
    # What their browser has at their server: it may do there what the server's own token may.
    session = session_at_server(hub, browser, "ana")
    of_session = httpx2.get(f"{hub.url}/hub/api/user", headers={"Authorization": f"token {session}"})
    assert "access:servers!server=ana/" in of_session.json()["scopes"]
    assert ask(hub, "ana", session).status_code == 403


def test_only_profiles_with_a_token_have_one_and_only_while_their_server_runs(hub: Hub, provider: Provider) -> None:
    signed_in(hub, provider, "sub-ana")
    signed_in(hub, provider, "sub-bo")
    start(hub, "ana", "plain")
    start(hub, "ana", "tools", "second")
    # Nobody chose: that is the default profile.
    start(hub, "bo", None)
    assert ask(hub, "ana", given(hub, "ana")["JUPYTERHUB_API_TOKEN"]).status_code == 404
    assert ask(hub, "ana", given(hub, "ana", "second")["JUPYTERHUB_API_TOKEN"]).status_code == 200
    key = given(hub, "bo")["JUPYTERHUB_API_TOKEN"]
    assert ask(hub, "bo", key).status_code == 200
    stop(hub, "bo")
    eventually(lambda: ask(hub, "bo", key).status_code == 403, "its token is gone", 30)


def test_the_file_is_fresh_and_goes_with_the_right_to_it(hub: Hub, provider: Provider, tmp_path: Path) -> None:
    signed_in(hub, provider, "sub-bo")
    start(hub, "bo")
    with kept(hub, "bo", tmp_path / "token") as file:
        eventually(file.exists, "the file is there", 30)
        assert file.stat().st_mode & 0o777 == 0o600
        first = file.read_text()
        assert accepts(provider, first)
        eventually(lambda: file.read_text() != first, "it is renewed", 30)
        for _ in range(8):
            assert accepts(provider, file.read_text())
            time.sleep(0.5)
        provider.claim({"sub-ana": ANA})
        eventually(lambda: not file.exists(), "the file is gone", 30)
    assert first not in (tmp_path / "token.log").read_text()


def test_the_file_outlives_a_restart_of_the_hub_and_ends_with_its_program(
    tmp_path: Path, provider: Provider, port: int
) -> None:
    file = tmp_path / "token"
    with token_hub(tmp_path / "hub", provider, port) as hub:
        signed_in(hub, provider, "sub-bo")
        start(hub, "bo")
        variables = given(hub, "bo")
    command = [sys.executable, "-I", str(FILES / "keep_token.py"), str(file)]
    with running(command, tmp_path / "token.log", lambda: True, variables):
        time.sleep(2)
        assert not file.exists()
        with token_hub(tmp_path / "hub", provider, port) as hub:
            eventually(file.exists, "the file is there", 60)
            assert accepts(provider, file.read_text())
            stop(hub, "bo")
            eventually(lambda: not file.exists(), "the file is gone", 30)
    assert not file.exists()
