"""The hub's section: what one model alone refuses."""

from __future__ import annotations

import pytest
from hub_labs import hub, profile, section
from pydantic import ValidationError

from components.hub.config import HomeKey, HubConfig, Internet, ResourcePolicy
from components.hub.signin.config import Auth0Authentication, GitHubAuthentication, OidcAuthentication
from components.quantities import Duration

OAUTH = {"clientId": "id", "clientSecret": {"secret": "oauthClientSecret"}}
OIDC = {
    "kind": "oidc",
    **OAUTH,
    "authorizeUrl": "https://sso.lab.org/authorize",
    "tokenUrl": "https://sso.lab.org/token",
    "userinfoUrl": "https://sso.lab.org/userinfo",
}


def test_defaults_are_the_careful_ones() -> None:
    config = hub()
    assert config.resource_policy is ResourcePolicy.LAX
    assert config.homes.key is HomeKey.ACCOUNT
    assert config.network.internet is Internet.WEB
    assert config.culling.idle == Duration.parse("2h")
    assert config.culling.max_age is None
    assert isinstance(config.authentication, Auth0Authentication)


@pytest.mark.parametrize(
    ("authentication", "complaint"),
    [
        (
            {"kind": "github", **OAUTH},
            "nobody is allowed to sign in; give one of users, organizations, or set everyone: true",
        ),
        ({"kind": "google", **OAUTH}, "nobody is allowed to sign in; give one of users, hostedDomains"),
        (OIDC, "nobody is allowed to sign in; give one of users, groups"),
        (
            {"kind": "github", **OAUTH, "everyone": True, "organizations": ["lab"]},
            "everyone: true makes organizations meaningless",
        ),
        ({**OIDC, "groups": ["lab"]}, "groups may sign in, but no claim tells them; set groupsClaim"),
        ({"kind": "github", "clientId": "id", "clientSecret": "hunter2", "everyone": True}, "in plain text"),
        ({"kind": "saml"}, "does not match any of the expected tags"),
    ],
)
def test_sign_in_that_cannot_work(authentication: object, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        HubConfig.model_validate(section(authentication=authentication))


@pytest.mark.parametrize("claim", ["https://lab.org/groups", "groups.", ""])
def test_a_groups_claim_is_a_path_of_names(claim: str) -> None:
    with pytest.raises(ValidationError, match="groupsClaim"):
        HubConfig.model_validate(section(authentication={**OIDC, "groupsClaim": claim, "groups": ["lab"]}))


def test_admins_alone_may_sign_in() -> None:
    config = hub(authentication={"kind": "github", **OAUTH, "admins": ["boss"]})
    assert isinstance(config.authentication, GitHubAuthentication)
    nested = hub(authentication={**OIDC, "groupsClaim": "realm_access.roles", "groups": ["lab"]})
    assert isinstance(nested.authentication, OidcAuthentication)


def test_a_guarantee_within_its_limit() -> None:
    resources = {"guarantee": {"cpu": "2", "memory": "4Gi"}, "limit": {"cpu": "1", "memory": "8Gi"}}
    with pytest.raises(ValidationError, match="the guarantee of 2 CPU is above the limit of 1; guarantee at most 1"):
        hub(profiles=[profile(resources=resources)])
    resources = {"guarantee": {"memory": "4Gi"}, "limit": {"memory": "2Gi"}}
    with pytest.raises(ValidationError, match="the guarantee of 4Gi memory is above the limit of 2Gi"):
        hub(profiles=[profile(resources=resources)])


def test_culling_looks_often_enough() -> None:
    with pytest.raises(ValidationError, match="every 1h, later than the 30m"):
        hub(culling={"idle": "30m", "every": "1h"})


@pytest.mark.parametrize(
    "changes",
    [
        {"profiles": []},
        {"profiles": [profile(slug="Not a slug")]},
        {"profiles": [profile(gpu={"slice": "1g.10gb", "count": 0})]},
        {"homes": {"capacity": "100 GB"}},
        {"homes": {"capacity": "100Gi", "mountPath": "home"}},
        {"network": {"internet": "sometimes"}},
        {"network": {"allow": [{"name": "licences", "networks": [], "ports": [27000]}]}},
        {"servers": {"concurrentSpawns": 0}},
        {"unknown": 1},
    ],
)
def test_malformed_sections(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HubConfig.model_validate(section(**changes))
