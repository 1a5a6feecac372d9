"""A real OpenID Connect provider on loopback: the certified oidc-provider, on Node.js, over HTTPS."""

from __future__ import annotations

import hashlib
import json
import shutil
import ssl
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
from lab_authority import Authority
from signin_bed import Browser, free_port, running

from labctl.control_plane.cache import cache_directory, exclusive_lock
from labctl.control_plane.progress import silent
from labctl.local_hub.programs import obtain_programs

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from signin_bed import Hub

__all__ = ["ANA", "BO", "CLIENT_SECRET", "Provider", "come_in", "oidc_provider", "signed_in"]

SOURCE = Path(__file__).parent / "oidc"
CLIENT_ID, CLIENT_SECRET = "hub", "cl13nt-s3cret"
ACCESS_SECONDS = 3
"""How long an access token lasts: so short that a test sees it renewed."""

ANA = {"preferred_username": "Ana", "groups": ["students", "staff"]}
BO = {"preferred_username": "bo", "groups": ["students"]}
"""What the provider says of people."""


@dataclass(frozen=True)
class Provider:
    """A provider that runs."""

    folder: Path
    port: int
    authority: Authority

    @property
    def url(self) -> str:
        """Its issuer."""
        return f"https://localhost:{self.port}"

    @property
    def trusted(self) -> ssl.SSLContext:
        """What a browser that trusts it has."""
        return ssl.create_default_context(cadata=self.authority.certificate)

    def claim(self, accounts: Mapping[str, Mapping[str, object]]) -> None:
        """Have these accounts and no others, with these claims beside ``sub``, from the next question on."""
        written = self.folder / "accounts.json.new"
        written.write_text(json.dumps(accounts))
        written.rename(self.folder / "accounts.json")

    def section(self, **changes: object) -> dict[str, object]:
        """Return how the stack file says all this."""
        return {
            "kind": "oidc",
            "clientId": CLIENT_ID,
            "clientSecret": {"secret": "oauthClientSecret"},
            "authorizeUrl": f"{self.url}/auth",
            "tokenUrl": f"{self.url}/token",
            "userinfoUrl": f"{self.url}/me",
            "authority": self.authority.certificate,
            "networks": ["127.0.0.0/8"],
            "groupsClaim": "groups",
            "groups": ["students", "staff"],
            "adminGroups": ["operators"],
            "offlineAccess": True,
            **changes,
        }


@contextmanager
def oidc_provider(folder: Path, redirect: str, secret: str = CLIENT_SECRET) -> Generator[Provider]:
    """Run a provider while this lasts; it sends people back to `redirect`."""
    node = obtain_programs().node
    program = _installed(node)
    provider = Provider(folder, free_port(), Authority("Provider CA"))
    folder.mkdir()
    certificate, key = provider.authority.issue("localhost")
    for name, text in {"server.pem": certificate, "server.key": key}.items():
        (folder / name).write_text(text)
    said = {
        "issuer": provider.url,
        "port": provider.port,
        "clientId": CLIENT_ID,
        "clientSecret": secret,
        "redirect": redirect,
        "accounts": str(folder / "accounts.json"),
        "certificate": str(folder / "server.pem"),
        "key": str(folder / "server.key"),
        "accessSeconds": ACCESS_SECONDS,
    }
    (folder / "said.json").write_text(json.dumps(said))
    provider.claim({})
    command = [str(node), str(program), str(folder / "said.json")]
    with running(command, folder / "provider.log", lambda: _answers(provider)):
        yield provider


def come_in(browser: Browser, account: str) -> httpx2.Response:
    """Sign in at the provider's own pages: its form, then what the hub may know."""
    page = browser.get("/hub/oauth_login")
    assert page.url.host == "localhost", page.text
    page = browser.send(page, login=account, password="any")
    while page.url.host == "localhost" and "<form" in page.text:
        page = browser.send(page)
    return page


def signed_in(hub: Hub, provider: Provider, account: str) -> Browser:
    """Return a browser in which somebody has signed in."""
    browser = Browser(hub, provider.trusted)
    come_in(browser, account)
    assert browser.is_in(), hub.log()[-3000:]
    return browser


def _answers(provider: Provider) -> bool:
    try:
        found = httpx2.get(f"{provider.url}/.well-known/openid-configuration", verify=provider.trusted)
    except httpx2.HTTPError:
        return False
    return found.status_code == 200


def _installed(node: Path) -> Path:
    """Return the provider's program in the cache, its packages beside it, exactly as locked."""
    files = sorted(SOURCE.iterdir())
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]
    room = cache_directory() / "hub" / f"test-provider-{digest}"
    room.parent.mkdir(parents=True, exist_ok=True)
    lock = room.with_name(f"{room.name}.lock")
    with exclusive_lock(lock, progress=silent, waiting_for="installing the tests' provider"):
        if not (room / ".complete").exists():
            shutil.rmtree(room, ignore_errors=True)
            shutil.copytree(SOURCE, room)
            bundled = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
            npm = bundled if bundled.exists() else Path(str(shutil.which("npm"))).resolve()
            command = [str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
            made = subprocess.run(command, cwd=room, capture_output=True, text=True, check=False)
            assert made.returncode == 0, made.stderr
            (room / ".complete").touch()
    return room / "provider.mjs"
