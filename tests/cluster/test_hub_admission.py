"""The isolation matrix: what a hub could ask of the API server and must not get, asked with its own account."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from cluster_api import Object
from hub_admission_bed import ANA, BO, STATIC, UID_HOMES, Bed, hub_bed, hub_section
from hub_changes import Forbidden
from hub_forbidden import OF_CLAIMED_IDS, OF_EVERYBODY, OF_FIXED_IDS, OF_IDENTITY, OF_LXCFS

from components.hub.files.lab_hub.identity import Identity
from labctl.control_plane import ControlPlane

OIDC = {
    "kind": "oidc",
    "clientId": "hub",
    "clientSecret": {"secret": "oauthClientSecret"},
    "authorizeUrl": "https://id.lab.org/authorize",
    "tokenUrl": "https://id.lab.org/token",
    "userinfoUrl": "https://id.lab.org/userinfo",
    "usernameClaim": "preferred_username",
    "everyone": True,
}


@pytest.fixture(scope="module")
def bed(control_plane: ControlPlane) -> Generator[Bed]:
    """Servers run with their users' own ids and have LXCFS; Pod Security lets everything through."""
    with hub_bed(control_plane, hub_section(identity=STATIC, homes=UID_HOMES, lxcfs=True)) as made:
        yield made


@pytest.fixture(scope="module")
def fixed(control_plane: ControlPlane) -> Generator[Bed]:
    """Servers all run as one user."""
    with hub_bed(control_plane, hub_section()) as made:
        yield made


@pytest.fixture(scope="module")
def claimed(control_plane: ControlPlane) -> Generator[Bed]:
    """Only the sign-in's claims say whose ids are whose."""
    homes = {"capacity": "1Gi", "key": "account"}
    section = hub_section(authentication=OIDC, identity={"kind": "claims"}, homes=homes)
    with hub_bed(control_plane, section) as made:
        yield made


@pytest.fixture(scope="module")
def restricted(control_plane: ControlPlane) -> Generator[Bed]:
    """As a lab without LXCFS has it: Pod Security and policies together."""
    with hub_bed(control_plane, hub_section(identity=STATIC, homes=UID_HOMES), relaxed=False) as made:
        yield made


def rows(*tables: tuple[Forbidden, ...]) -> pytest.MarkDecorator:
    every = [row for table in tables for row in table]
    return pytest.mark.parametrize("row", every, ids=[row.what.replace(" ", "-") for row in every])


def changed(bed: Bed, row: Forbidden, identity: Identity | None = ANA, *, account: bool = False) -> Object:
    pod = server(bed, identity, account=account)
    row.change(pod)
    return pod


def server(bed: Bed, identity: Identity | None, *, account: bool = False) -> Object:
    pod, _ = bed.made(identity=identity)
    if account:
        for each in pod["spec"]["volumes"]:
            if each["name"] == "home":
                each["persistentVolumeClaim"]["claimName"] = "home-" + "a" * 32
    return pod


def test_a_server_of_its_user_is_admitted(bed: Bed, restricted: Bed, fixed: Bed, claimed: Bed) -> None:
    for each in (bed, restricted):
        pod, home = each.made()
        assert each.start(pod).admitted()["spec"]["containers"][0]["securityContext"]["runAsUser"] == 5001
        assert each.hub.ask("POST", each.claims(), home).admitted()["metadata"]["name"] == "home-uid-5001"
        other, _ = each.made(identity=BO, user="bo")
        each.start(other).admitted()
    fixed.start(server(fixed, None)).admitted()
    claimed.start(server(claimed, ANA, account=True)).admitted()


@rows(OF_IDENTITY, OF_LXCFS, OF_EVERYBODY)
def test_with_identities(bed: Bed, row: Forbidden) -> None:
    bed.start(changed(bed, row)).refused(row.says)


@rows(OF_FIXED_IDS, OF_EVERYBODY)
def test_without_identities(fixed: Bed, row: Forbidden) -> None:
    fixed.start(changed(fixed, row, None)).refused(row.says)


@rows(OF_CLAIMED_IDS, OF_EVERYBODY)
def test_with_claims(claimed: Bed, row: Forbidden) -> None:
    claimed.start(changed(claimed, row, account=True)).refused(row.says)


@rows(OF_IDENTITY, OF_EVERYBODY)
def test_beside_pod_security(restricted: Bed, row: Forbidden) -> None:
    restricted.start(changed(restricted, row)).refused()
