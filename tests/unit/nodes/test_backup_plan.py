"""Who backs etcd up, where to, and with which secrets."""

from __future__ import annotations

import pytest

from components.nodes.backup_plan import backup_steps, check
from components.nodes.config import NodesConfig
from components.secrets import SecretRef

HARDWARE = {"cpus": 8, "memory": "32Gi", "ephemeralStorage": "200G"}
HOSTS = {
    name: {"address": f"192.0.2.{index}", "roles": [role], "hardware": HARDWARE}
    for index, (name, role) in enumerate(
        [("w-1", "worker"), ("cp-2", "control-plane"), ("cp-1", "control-plane")], start=1
    )
}
S3 = {"accessKeyId": {"secret": "backupId"}, "secretAccessKey": {"secret": "backupSecret"}}


def nodes(repository: str | None, **more: object) -> NodesConfig:
    backup = {"repository": repository, "password": {"secret": "backupPassword"}, **more} if repository else None
    return NodesConfig.model_validate({"hosts": HOSTS, "controlPlane": {"backup": backup}})


def test_every_control_plane_host_can_back_up() -> None:
    assert backup_steps(nodes(None)) == ()
    steps = backup_steps(nodes("/srv/backup", schedule="02:30", keep={"daily": 3}))
    assert [step.host for step in steps] == ["cp-1", "cp-2"]
    assert [("backup", "cp-1") in step.after for step in steps] == [False, True]
    assert steps[0].values == steps[1].values, "nothing makes one host another's elder"
    values = steps[0].values
    assert values["BACKUP_PASSWORD"] == SecretRef(secret="backupPassword")
    assert (values["BACKUP_SCHEDULE"], values["KEEP_DAILY"], values["S3_ACCESS_KEY_ID"]) == ("02:30", 3, None)
    assert str(values["RESTORE_SCRIPT"]).startswith("/usr/local/lib/research-compute/steps/etcd-restore-")


def test_a_bucket_is_opened_by_secrets() -> None:
    values = backup_steps(nodes("s3:https://s3.example.org/etcd", s3=S3))[0].values
    assert values["S3_SECRET_ACCESS_KEY"] == SecretRef(secret="backupSecret")


@pytest.mark.parametrize(
    ("config", "path"),
    [
        (nodes("/srv/backup"), None),
        (nodes("s3:https://s3.example.org/etcd", s3=S3), None),
        (nodes("s3:https://s3.example.org/etcd"), "s3"),
        (nodes("/srv/backup", s3=S3), "s3"),
        (nodes("/srv/backup", keep={"hourly": 0, "daily": 0, "weekly": 0}), "keep"),
    ],
)
def test_what_is_wrong(config: NodesConfig, path: str | None) -> None:
    paths = [problem.path for problem in check(config)]
    assert paths == ([] if path is None else [("controlPlane", "backup", path)])
