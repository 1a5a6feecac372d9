"""A real hub on PostgreSQL, looked at by ``labctl hub check``; it is killed, its database goes, and is restored."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import pytest
import urllib3
from debian_programs import POSTGRES, needs
from lab_authority import Authority
from lab_copy import Ended, LabCopy, copy_project, ended
from operation_bed import BROKEN, REFUSAL, SLOW, OperationBed
from postgres_bed import DATABASE, HOST, PASSWORD, ROLE, PostgresBed
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from components.hub.operation.config import PostgresDatabase
from components.hub.operation.plan import database_url, health_scopes
from labctl.local_hub.programs import obtain_programs
from stacks.loading import load_cluster, load_stack_file

pytestmark = needs(POSTGRES)

USER = "health-check"


class Project:
    """A copy of the project whose dev stack has a test user, and its labctl."""

    def __init__(self, root: Path, bed: OperationBed, profiles: list[str]) -> None:
        self.lab, self.bed = LabCopy(root), bed
        self.good, self.slow, self.broken = profiles
        self.token_file = root / "token"
        self.token_file.write_text(f"{bed.token}\n", encoding="utf-8")

    def start(self, *arguments: str, profile: str | None = None) -> subprocess.Popen[str]:
        """Start a look at the hub."""
        set_check(self.lab, f"{{user: {USER}, profile: {profile or self.good}}}")
        return self.lab.start("hub", "check", "--url", self.bed.url, "--token-file", str(self.token_file), *arguments)

    def check(self, *arguments: str, profile: str | None = None) -> Ended:
        """Look at the hub, to the end."""
        return ended(self.start("--json", *arguments, profile=profile))

    def servers(self) -> object:
        """Return the test user's servers."""
        return self.bed.get(f"/users/{USER}")["servers"]


def set_check(lab: LabCopy, check: str) -> None:
    """Have the stack file say this of its test user."""
    text = re.sub(r"^      healthCheck: .*\n", "", lab.file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert text.count("\n    hub:\n") == 1
    lab.file.write_text(text.replace("\n    hub:\n", f"\n    hub:\n      healthCheck: {check}\n"), encoding="utf-8")


def states(result: Ended) -> dict[str, str]:
    return {look["look"]: look["state"] for look in result.json["looks"]}


def said(result: Ended, look: str) -> str:
    return next(found["said"] for found in result.json["looks"] if found["look"] == look)


@pytest.fixture(scope="module")
def postgres() -> Generator[PostgresBed]:
    with PostgresBed() as bed:
        yield bed


@pytest.fixture(scope="module")
def project(postgres: PostgresBed, tmp_path_factory: pytest.TempPathFactory) -> Generator[Project]:
    root = tmp_path_factory.mktemp("project")
    lab = copy_project(root)
    config = load_cluster(load_stack_file(lab.file)).hub
    assert config is not None
    profiles = [profile.slug for profile in config.profiles if not profile.groups][:3]
    folder = tmp_path_factory.mktemp("hub")
    authority = folder / "authority.pem"
    authority.write_text(postgres.authority.certificate, encoding="utf-8")
    with OperationBed(
        folder / "hub",
        obtain_programs(print),
        database=address(postgres, authority),
        roles={
            "health": {"services": ["health"], "scopes": list(health_scopes(USER))},
            "health-user": {"users": [USER], "scopes": []},
        },
        manners={profiles[1]: SLOW, profiles[2]: BROKEN},
        environment=postgres.environment,
    ) as bed:
        yield Project(root, bed, profiles)


def address(postgres: PostgresBed, authority: Path) -> str:
    """Return the address the chart would be told, but for where the authority's file is here."""
    config = PostgresDatabase.model_validate(
        {
            "kind": "postgres",
            "host": HOST,
            "port": postgres.port,
            "networks": ["127.0.0.1/32"],
            "password": {"secret": "hubDatabasePassword"},
            "authority": postgres.authority.certificate,
        }
    )
    url, count = re.subn(r"sslrootcert=[^&]+", f"sslrootcert={authority}", database_url(config))
    assert count == 1
    return url


def test_a_hub_that_is_well(project: Project) -> None:
    result = project.check("--spawn")
    assert result.code == 0, result.text + project.bed.log[-3000:]
    assert set(states(result).values()) == {"well"}
    assert said(result, "hub") == "JupyterHub 5.5.0"
    assert result.json["healthy"] is True
    assert project.servers() == {}


def test_without_a_server_only_the_hub_is_looked_at(project: Project) -> None:
    result = project.check()
    assert result.code == 0, result.text
    assert states(result) == {
        "proxy": "well",
        "hub": "well",
        "database": "well",
        "start": "skipped",
        "server": "skipped",
        "stop": "skipped",
    }


def test_its_tables_are_in_postgresql_over_a_sealed_connection(project: Project, postgres: PostgresBed) -> None:
    assert postgres.query("SELECT count(*) FROM users WHERE name = 'health-check'") == "1"
    sealed = "SELECT usename, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL"
    assert set(postgres.query(sealed).splitlines()) == {f"{ROLE}|t"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/users/eve", None),
        ("PATCH", f"/users/{USER}", {"name": "eve"}),
        ("DELETE", f"/users/{USER}", None),
        ("GET", "/users/ada", None),
        ("POST", "/users/ada/server", {"profile": "minimal"}),
        ("DELETE", "/users/ada/server", None),
        ("POST", f"/users/{USER}/tokens", {}),
        ("GET", "/proxy", None),
        ("POST", "/shutdown", {}),
    ],
)
def test_the_token_opens_one_users_server_and_nothing_else(
    project: Project, method: str, path: str, body: object
) -> None:
    project.bed.ask("POST", "/users/ada")
    status, text = project.bed.ask(method, path, body, token=project.bed.token)
    assert status in {403, 404}, text
    assert project.bed.get("/users/ada")["servers"] == {}


def test_a_start_that_is_refused_says_why(project: Project) -> None:
    result = project.check("--spawn", profile=project.broken)
    assert result.code == 13, result.text
    assert states(result) == {
        "proxy": "well",
        "hub": "well",
        "database": "well",
        "start": "failed",
        "server": "skipped",
        "stop": "well",
    }
    assert REFUSAL in said(result, "start")


def test_a_start_that_takes_too_long_is_given_up(project: Project) -> None:
    result = project.check("--spawn", "--start-seconds", "2", profile=project.slow)
    assert result.code == 13, result.text
    assert said(result, "start") == "the server is not ready after 2 s"
    assert states(result)["stop"] == "well"
    assert project.servers() == {}


@pytest.mark.parametrize("signals", [(signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM, signal.SIGINT)])
def test_an_interrupted_look_leaves_no_server(project: Project, signals: tuple[signal.Signals, ...]) -> None:
    process = project.start("--json", "--spawn", profile=project.slow)
    project.bed.server(USER, ready=False)
    for each in signals:
        process.send_signal(each)
        time.sleep(0.2)
    result = ended(process)
    assert result.code == 130, result.text
    assert result.json["interrupted"] is True
    assert states(result)["stop"] == "well"
    assert project.servers() == {}


def test_a_killed_look_is_tidied_up_by_the_next(project: Project) -> None:
    process = project.start("--json", "--spawn", profile=project.slow)
    project.bed.server(USER, ready=False)
    process.kill()
    ended(process)
    result = project.check("--spawn")
    assert result.code == 0, result.text
    assert "earlier check was stopped" in said(result, "start")
    assert project.servers() == {}


def test_a_hub_that_is_away(project: Project) -> None:
    project.bed.stop_hub()
    try:
        result = project.check("--spawn")
    finally:
        project.bed.start_hub()
    assert result.code == 13, result.text
    assert states(result) == {
        "proxy": "well",
        "hub": "failed",
        "database": "skipped",
        "start": "skipped",
        "server": "skipped",
        "stop": "skipped",
    }


def test_a_proxy_that_is_away(project: Project) -> None:
    project.bed.stop_proxy()
    try:
        result = project.check("--spawn")
    finally:
        project.bed.start_proxy()
    assert result.code == 13, result.text
    assert states(result)["proxy"] == "failed"
    assert "nothing answers" in said(result, "proxy")
    # The hub tells the new proxy its routes by itself.
    assert project.check("--spawn").code == 0


def test_a_database_that_goes_and_comes_back(project: Project, postgres: PostgresBed) -> None:
    postgres.stop()
    try:
        result = project.check()
    finally:
        postgres.start()
    assert result.code == 13, result.text
    assert (states(result)["hub"], states(result)["database"]) == ("well", "failed")
    deadline = time.monotonic() + 60
    while (again := project.check()).code != 0:
        assert time.monotonic() < deadline, again.text + project.bed.log[-4000:]
        time.sleep(1)


def test_a_killed_hub_comes_back_to_running_servers(project: Project) -> None:
    bed = project.bed
    bed.ask("POST", "/users/grace")
    before = bed.start_server("grace", project.good)
    started = bed.get("/users/grace")["servers"][""]["started"]
    bed.stop_hub(signal.SIGKILL)
    # Without the hub people go on working.
    assert urllib3.request("GET", f"{bed.url}{before['url']}api", retries=False).status == 200
    bed.start_hub()
    after = bed.server("grace", ready=True)
    assert (after["url"], after["started"], after["user_options"]) == (before["url"], started, before["user_options"])
    status = urllib3.request(
        "GET",
        f"{bed.url}{after['url']}api/status",
        headers={"Authorization": f"token {bed.admin_token}"},
        retries=False,
    )
    assert status.status == 200
    bed.stop_server("grace")


def test_a_dump_brings_the_hub_back(project: Project, postgres: PostgresBed) -> None:
    """The commands are those of the page, word for word but for where this server's socket is."""
    bed = project.bed
    bed.ask("POST", "/users/kept")
    bed.start_server("kept", project.good)
    folder = postgres.folder / "dumps"
    here = f"export PGHOST={postgres.folder} PGPORT={postgres.port}; "
    place = {"/var/backups/jupyterhub": str(folder)}
    dump, restore = (replaced(block, place) for block in page_blocks("dump", "restore"))
    postgres.shell(here + dump)
    bed.ask("POST", "/users/later")
    bed.stop_hub()
    postgres.shell(here + restore)
    assert postgres.query("SELECT string_agg(name, ',' ORDER BY name) FROM users WHERE name IN ('kept', 'later')") == (
        "kept"
    )
    owners = postgres.query("SELECT datname, rolname FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba")
    assert f"{DATABASE}|{ROLE}" in owners.splitlines()
    bed.start_hub()
    assert bed.server("kept", ready=True)["ready"] is True
    assert bed.ask("GET", "/users/later")[0] == 404
    assert project.check("--spawn").code == 0
    bed.stop_server("kept")


def page_blocks(*names: str) -> list[str]:
    """Return the scripts of docs/hub-operation.md that begin with these comments."""
    text = (Path(__file__).parents[2] / "docs" / "hub-operation.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    found = [[block for block in blocks if block.startswith(f"# {name}:")] for name in names]
    assert all(len(each) == 1 for each in found), names
    return [each[0] for each in found]


def replaced(text: str, places: dict[str, str]) -> str:
    for old, new in places.items():
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("authority", "host", "said"),
    [
        ("Somebody else's CA", HOST, "certificate verify failed"),
        (None, "other.lab.example.org", "does not match host name"),
    ],
    ids=["authority", "name"],
)
def test_a_server_with_a_wrong_certificate_is_not_believed(
    postgres: PostgresBed, tmp_path: Path, authority: str | None, host: str, said: str
) -> None:
    own = tmp_path / "authority.pem"
    own.write_text(postgres.authority.certificate, encoding="utf-8")
    known = {"hostaddr": "127.0.0.1", "password": PASSWORD}
    with create_engine(address(postgres, own), connect_args=known).connect():
        pass
    own.write_text(Authority(authority).certificate if authority else own.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(OperationalError, match=said):
        create_engine(address(postgres, own).replace(HOST, host), connect_args=known).connect()


def test_json_is_documented(project: Project) -> None:
    page = (Path(__file__).parents[2] / "docs" / "hub-operation.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    known = json.loads(example)
    now = project.check().json
    assert set(known) == set(now)
    assert set(known["looks"][0]) == set(now["looks"][0])
    assert [look["look"] for look in known["looks"]] == [look["look"] for look in now["looks"]]
