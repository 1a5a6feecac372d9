"""People at a browser: Chromium, headless, and what they do at the hub, in its words."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from debian_programs import CHROMIUM, path_of
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from playwright.sync_api import Browser, BrowserContext, Locator, Page

__all__ = ["Browsers", "Person", "Pictures"]

WIDTH, HEIGHT = 1200, 780
"""Of the window, in pixels: a laptop's, and as wide as a page of documentation shows it."""
PATIENCE_MS: Final = 90_000
"""For anything to appear, on a machine that is busy with other tests."""
FORBIDDEN: Final = 403
"""Status of a request whose token is wrong (RFC 9110, 15.5.4)."""
ARGUMENTS: Final = (
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
"""Nothing is asked of anybody beyond loopback, and every machine draws alike."""

_STOP: Final = """
async name => {
  const token = document.cookie.split("; ").find(each => each.startsWith("_xsrf="));
  const headers = { "X-XSRFToken": token.slice("_xsrf=".length) };
  const ask = async (method, end) => (await fetch(`/hub/api/users/${name}/server${end}`, { method, headers })).status;
  return [await ask("POST", "/cancel"), await ask("DELETE", "")];
}
"""


@dataclass(frozen=True)
class Pictures:
    """Where pictures go: into the documentation where that was asked for, else beside the test's other files."""

    folder: Path

    def take(self, page: Page, name: str, *, height: int = HEIGHT) -> None:
        """Write what a page shows, its upper `height` pixels."""
        self.folder.mkdir(parents=True, exist_ok=True)
        page.mouse.move(WIDTH - 1, HEIGHT - 1)
        page.screenshot(
            path=self.folder / f"{name}.png",
            clip={"x": 0, "y": 0, "width": WIDTH, "height": height},
            animations="disabled",
            caret="hide",
        )


class Browsers:
    """One Chromium, in which each person has cookies of their own."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._stack = ExitStack()
        self._browser: Browser | None = None

    def __enter__(self) -> Self:
        playwright = self._stack.enter_context(sync_playwright())
        self._browser = playwright.chromium.launch(
            executable_path=path_of(CHROMIUM),
            # Its own sandbox needs another user than root.
            args=[*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])],
        )
        self._stack.callback(self._browser.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def person(self, name: str) -> Person:
        """Return somebody who has not signed in yet."""
        assert self._browser is not None
        context = self._browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT}, locale="en-GB", timezone_id="UTC", reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        return Person(name, self.url, context)


class Person:
    """Somebody at one window."""

    def __init__(self, name: str, url: str, context: BrowserContext) -> None:
        self.name, self.url = name, url
        self.context = context
        self.page = context.new_page()
        self.problems: list[str] = []
        """What the pages' own scripts complained about."""
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        # On a busy machine JupyterLab may not get its style sheet in time. It says so, and goes on without.
        self.page.add_locator_handler(
            self.page.get_by_role("dialog").filter(has_text="Error Loading Theme"),
            lambda dialog: dialog.get_by_role("button").last.click(),
        )

    def another_window(self) -> Person:
        """Return the same somebody at a second window, signed in there as here."""
        return Person(self.name, self.url, self.context)

    def leave(self) -> None:
        """Close the windows."""
        self.context.close()

    def give_up(self) -> None:
        """Stop the server, or its start, whatever there is, as the hub's own pages ask for it."""
        self.page.goto(f"{self.url}/hub/home", wait_until="load")
        answered: list[int] = self.page.evaluate(_STOP, self.name)
        assert max(answered) != FORBIDDEN, answered

    def open_hub(self) -> None:
        """Come to the hub as somebody does who knows its address."""
        self.page.goto(self.url, wait_until="load")

    def sign_in(self, password: str | None = None) -> None:
        """Sign in by the hub's own form."""
        self.open_hub()
        self.page.locator("#username_input").fill(self.name)
        field = self.page.locator("#password_input")
        if password is not None:
            field.fill(password)
        self.page.locator("#login_submit").click()
        self.page.wait_for_url(re.compile(r"/hub/(spawn|home)|/user/"))

    def choose_server(self) -> None:
        """Go to the page where a server is chosen."""
        self.page.goto(f"{self.url}/hub/spawn", wait_until="load")

    def profiles(self) -> list[str]:
        """Return the names of the profiles on that page, in their order."""
        expect(self.page.locator("#lab-profiles")).to_be_visible()
        return [
            text.strip() for text in self.page.locator("#lab-profiles .lab-profile label.fw-bold").all_inner_texts()
        ]

    def free(self, slug: str) -> str:
        """Return how many of a profile's GPUs are free, as the page has it beside the name."""
        profile = self.page.locator(".lab-profile", has=self.page.locator(f"#profile-item-{slug}"))
        return profile.locator(".lab-free").inner_text().strip()

    def choose(self, slug: str) -> None:
        """Tick a profile."""
        self.page.locator(f"#profile-item-{slug}").check()

    def start(self) -> None:
        """Press the button beneath the profiles."""
        self.page.locator("#spawn_form input[type=submit], #spawn_form button[type=submit]").first.click()

    def arrive(self) -> None:
        """Wait until JupyterLab is there: its launcher, or what was open the last time."""
        self.page.wait_for_url(re.compile(r"/user/[^/]+/lab"))
        expect(self.page.locator(".jp-Launcher-body, .jp-NotebookPanel").first).to_be_visible()
        self._tidy()

    def new_notebook(self) -> None:
        """Open a notebook by the launcher, its kernel ready."""
        self.page.locator('.jp-LauncherCard[data-category="Notebook"]').first.click()
        # The status bar's word for it: until then a cell that is run would only be asked which kernel to use.
        expect(self.page.locator("#jp-bottom-panel, #jp-main-statusbar").get_by_text("| Idle")).to_be_visible()
        self._tidy()

    def run_cell(self, code: str) -> str:
        """Run code in the last cell; return what comes out beneath it."""
        cell = self.page.locator(".jp-NotebookPanel:visible .jp-CodeCell").last
        index = self.page.locator(".jp-NotebookPanel:visible .jp-CodeCell").count() - 1
        cell.locator(".cm-content").click()
        # As one piece: the editor would indent lines that are typed.
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        ran = self.page.locator(".jp-NotebookPanel:visible .jp-CodeCell").nth(index)
        expect(ran.locator(".jp-InputArea-prompt")).to_have_text(re.compile(r"\[\d+\]:"))
        return "\n".join(text.strip() for text in ran.locator(".jp-OutputArea-output").all_inner_texts())

    def notices(self) -> Locator:
        """Return JupyterLab's notices, in the corner."""
        return self.page.locator(".Toastify__toast:visible")

    def stop(self) -> None:
        """Stop the server on the hub's own page; return when it is gone."""
        self.page.goto(f"{self.url}/hub/home", wait_until="load")
        self.page.locator("#stop").click()
        expect(self.page.locator("#stop")).to_be_hidden()
        expect(self.page.locator("#start")).to_be_visible()

    def links_elsewhere(self) -> Sequence[str]:
        """Return what the page at hand would fetch from another machine."""
        found: list[str] = self.page.evaluate(
            "Array.from(document.querySelectorAll('[src], link[href]')).map(each => each.src || each.href)"
        )
        return [each for each in found if not each.startswith((self.url, "data:", "blob:"))]

    def _tidy(self) -> None:
        """Answer JupyterLab's question whether it may fetch news: once, in the corner, after some seconds."""
        question = self.notices().filter(has_text="Jupyter news")
        if question.count():
            question.get_by_role("button", name="No", exact=True).click()
            expect(question).to_have_count(0)
