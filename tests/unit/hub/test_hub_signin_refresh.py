"""What every sign-in adds to its stock class, without a hub: who stays signed in, and as what."""

from __future__ import annotations

import asyncio
import time
from io import BytesIO
from typing import TYPE_CHECKING, cast

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse

from components.hub.files.lab_hub.homes import account_in
from components.hub.files.lab_hub.signin import GRACE_SECONDS, AuthModel, LabSignIn
from components.hub.files.lab_hub.signin_errors import (
    AnotherAccountError,
    BlockedError,
    ClientRefusedError,
    NotAllowedError,
    ProviderOutageError,
    ProviderRefusalError,
    RenamedError,
    SignInOutageError,
    SignInRefusedError,
)
from components.hub.files.lab_hub.signin_oauth import LabGitHub, LabGoogle, LabOidc, oauth_error

if TYPE_CHECKING:
    from collections.abc import Mapping


class User:
    """A user of the hub, as kept."""

    def __init__(self, name: str, state: dict[str, object] | None) -> None:
        self.name, self.state = name, state

    async def get_auth_state(self) -> dict[str, object] | None:
        return self.state


class Asking:
    """A request, and whether its user is known already."""

    def __init__(self, user: User | None = None, *, is_known: bool = False) -> None:
        self.user, self.is_known = user, is_known

    def find_user(self, name: str) -> User | None:
        return self.user if self.user is not None and self.user.name == name else None

    @property
    def current_user(self) -> User | None:
        if not self.is_known:
            raise RuntimeError
        return self.user


class SignIn(LabSignIn):
    """Answers what the test says."""

    manage_groups = True

    def __init__(self, *answers: bool | AuthModel | Exception) -> None:
        super().__init__()
        self.answers, self.asked = list(answers), 0
        self.account_claims = ["told", "sub"]
        self.allowed_users = {"ana"}
        self.contact = "help@lab.org"

    async def _known(self, _handler: object, data: Mapping[str, str] | None, **_more: object) -> AuthModel | None:
        return cast("AuthModel | None", self._next())

    async def _known_still(self, user: object, _handler: object) -> bool | AuthModel:
        await asyncio.sleep(0)
        return self._next()

    def _next(self) -> bool | AuthModel:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def model(name: str = "ana", sub: str = "1", groups: list[str] | None = None, **state: object) -> AuthModel:
    return {"name": name, "groups": groups or [], "auth_state": {"told": {"sub": sub}, **state}}


def ana(checked: float = 0.0, sub: str = "1", **state: object) -> User:
    return User("ana", {"told": {"sub": sub}, "lab_checked": time.time() - checked, **state})


def refreshed(sign_in: SignIn, user: User, handler: object = None) -> bool | AuthModel:
    return asyncio.run(sign_in.refresh_user(user, handler))


def test_what_is_known_now_replaces_what_was() -> None:
    sign_in = SignIn(model(groups=["staff"]))
    sign_in.admin_groups = {"staff"}
    found = refreshed(sign_in, ana())
    assert isinstance(found, dict)
    assert (found.get("groups"), found.get("admin")) == (["staff"], True)
    state = found.get("auth_state")
    assert state is not None
    assert isinstance(state["lab_checked"], float)


def test_whoever_is_struck_from_the_administrators_is_none() -> None:
    found = refreshed(SignIn(model()), ana())
    assert isinstance(found, dict)
    assert found.get("admin") is False, "left open, the hub would keep the old answer"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (model("bo"), RenamedError),
        (model(sub="2"), AnotherAccountError),
        (model(sub=""), AnotherAccountError),
    ],
)
def test_who_is_somebody_else_now_signs_in_again(answer: AuthModel, error: type[SignInRefusedError]) -> None:
    assert refreshed(SignIn(answer), ana(), Asking()) is False
    with pytest.raises(error):
        refreshed(SignIn(answer), ana(), Asking(ana(), is_known=True))


def test_who_may_not_enter_any_more_signs_in_again_and_reads_why_before_a_start() -> None:
    sign_in = SignIn(model(groups=["guests"]))
    sign_in.allowed_users = {"bo"}
    assert refreshed(sign_in, ana(), Asking()) is False
    with pytest.raises(NotAllowedError) as refused:
        refreshed(sign_in, ana(), Asking(ana(), is_known=True))
    assert refused.value.jupyterhub_message == (
        "You are known as ana, but this hub is open to people whom the lab has named. You are a member of guests. "
        "Ask help@lab.org."
    )


def test_the_blocked_do_not_stay() -> None:
    sign_in = SignIn(model())
    sign_in.blocked_users = {"ana"}
    with pytest.raises(BlockedError):
        refreshed(sign_in, ana(), Asking(ana(), is_known=True))


def test_the_hubs_own_users_are_asked_of_nobody_and_sign_in_nowhere() -> None:
    sign_in = SignIn(model())
    sign_in.own_users = {"ana"}
    assert refreshed(sign_in, User("ana", None)) is True
    with pytest.raises(BlockedError):
        asyncio.run(sign_in.authenticate(None, {}))
    assert sign_in.asked == 1


def server_error(code: int, body: bytes = b"") -> HTTPClientError:
    request = HTTPRequest("https://sso.lab.org/token")
    response = HTTPResponse(request, code, buffer=BytesIO(body))
    return HTTPClientError(code, response=response)


@pytest.mark.parametrize("outage", [OSError("away"), SignInOutageError("sorry", "away"), server_error(502)])
@pytest.mark.parametrize(("age", "stays"), [(GRACE_SECONDS - 60, True), (GRACE_SECONDS + 60, False)])
def test_an_outage_is_bridged_for_an_hour(outage: Exception, age: float, stays: bool) -> None:  # noqa: FBT001 - a table's column
    assert refreshed(SignIn(outage), ana(checked=age)) is stays


def test_who_was_never_confirmed_does_not_stay_through_an_outage() -> None:
    assert refreshed(SignIn(OSError("away")), User("ana", None)) is False


def test_what_is_no_outage_is_not_taken_for_one() -> None:
    with pytest.raises(HTTPClientError):
        refreshed(SignIn(server_error(400)), ana())


def test_requests_that_come_at_once_share_one_answer() -> None:
    sign_in = SignIn(model())

    async def several() -> list[bool | AuthModel]:
        return await asyncio.gather(*(sign_in.refresh_user(ana()) for _ in range(5)))

    found = asyncio.run(several())
    assert sign_in.asked == 1
    assert all(isinstance(each, dict) for each in found)
    assert len({id(each) for each in found}) == 5, "the hub writes into what it is given"


def test_a_sign_in_forgets_the_answer_that_was_shared() -> None:
    sign_in = SignIn(model(groups=["old"]), model(groups=["new"]), model(groups=["newer"]))
    refreshed(sign_in, ana())
    asyncio.run(sign_in.authenticate(None, {}))
    found = refreshed(sign_in, ana())
    assert isinstance(found, dict)
    assert found.get("groups") == ["newer"]


def test_a_name_that_was_another_accounts_is_not_given_out() -> None:
    with pytest.raises(AnotherAccountError):
        asyncio.run(SignIn(model(sub="2")).authenticate(Asking(ana()), {}))
    assert asyncio.run(SignIn(model(sub="2")).authenticate(Asking(User("bo", None)), {})) is not None


def test_a_refresh_token_given_once_is_kept_for_its_account() -> None:
    before = ana(refresh_token="given-once")
    found = cast("AuthModel", asyncio.run(SignIn(model(refresh_token=None)).authenticate(Asking(before), {})))
    state = found.get("auth_state")
    assert state is not None
    assert state["refresh_token"] == "given-once"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"told": {"sub": "x"}}, "x"),
        ({"told": {"sub": "", "id": 7}}, "7"),
        ({"told": {"sub": True}}, None),
        ({"told": "x"}, None),
        (None, None),
    ],
)
def test_where_the_account_is(state: dict[str, object] | None, expected: str | None) -> None:
    assert account_in(state, ["told", "sub", "id"]) == expected


def test_groups_of_github_are_organizations_and_teams_of_those_that_are_named() -> None:
    sign_in = LabGitHub(allowed_organizations={"Lab", "partners:guests"})
    state = {
        "organizations": ["Lab", "strangers", "partners"],
        "teams": [
            {"slug": "gpu", "organization": {"login": "Lab"}},
            {"slug": "guests", "organization": {"login": "partners"}},
            {"slug": "gpu", "organization": {"login": "strangers"}},
        ],
    }
    assert asyncio.run(sign_in.get_user_groups(state)) == {"lab", "partners", "lab:gpu", "partners:guests"}


def test_groups_of_google_are_the_stack_files() -> None:
    sign_in = LabGoogle(hosted_domain=["lab.org"], members={"staff": ["ana"], "gpu": ["bo"]})
    assert asyncio.run(sign_in.get_user_groups({"google_user": {"email": "ana@lab.org"}})) == {"staff"}


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (server_error(401, b'{"error": "invalid_client"}'), ClientRefusedError),
        (server_error(400, b'{"error": "invalid_grant"}'), ProviderRefusalError),
        (server_error(503, b"<html>"), ProviderOutageError),
        (ConnectionRefusedError("away"), ProviderOutageError),
    ],
)
def test_what_went_wrong_at_a_provider_is_said(
    failure: Exception, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_given: object, **_named: object) -> None:
        raise failure

    monkeypatch.setattr("oauthenticator.oauth2.OAuthenticator.authenticate", fails)
    sign_in = LabOidc(token_url="https://sso.lab.org/token", client_id="hub")
    with pytest.raises(error):
        asyncio.run(sign_in.authenticate(None, {}))


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"null"])
def test_an_answer_that_is_no_oauth_error_has_none(body: bytes) -> None:
    assert oauth_error(server_error(400, body).response) == ""
