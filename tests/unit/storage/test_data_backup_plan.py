"""What is backed up, where to, with which secrets, and what is wrong with it."""

from __future__ import annotations

import pytest

from components.nodes.config import NodesConfig
from components.nodes.steps import read_script
from components.secrets import SecretRef
from components.storage.backup_checks import check_backup
from components.storage.backup_plan import RESTORE_SCRIPTS, backup_steps
from components.storage.config import NfsStorage
from components.storage.datasets_plan import dataset_plans

NODES = NodesConfig.model_validate(
    {
        "hosts": {
            "store-1": {
                "address": "192.0.2.1",
                "roles": ["storage"],
                "hardware": {"cpus": 8, "memory": "32Gi", "ephemeralStorage": "200G"},
            }
        }
    }
)
S3 = {"accessKeyId": {"secret": "backupId"}, "secretAccessKey": {"secret": "backupKey"}}
BUCKET = "s3:https://s3.example.org/lab"


def server(repository: str | None, pool: str = "vault", **backup: object) -> NfsStorage:
    """A server with every kind of folder, that follows into `pool`."""
    return NfsStorage.model_validate(
        {
            "host": "store-1",
            "homes": {"path": "/tank/homes"},
            "scratch": {"path": "/fast/scratch"},
            "shared": [
                {"name": "datasets", "path": "/tank/datasets", "mountPath": "/srv/datasets", "size": "1Ti"},
                {"name": "cache", "path": "/fast/cache", "mountPath": "/srv/c", "size": "1Ti", "snapshots": False},
                {
                    "name": "theirs",
                    "source": {"server": "192.0.2.9", "path": "/export"},
                    "mountPath": "/srv/theirs",
                    "size": "1Ti",
                },
            ],
            "groups": {"vision": {"gid": 5001}, "guests": {"gid": 5002, "folder": False}},
            "groupFolders": {"path": "/tank/groups", "mountPath": "/srv/groups"},
            "replication": {"pool": pool},
            "backup": repository and {"repository": repository, "password": {"secret": "backupPassword"}, **backup},
        }
    )


def test_nothing_is_backed_up_unless_it_is_asked_for() -> None:
    nfs = server(None)
    assert backup_steps(nfs, dataset_plans(nfs), NODES) == ()
    assert list(check_backup(nfs)) == []


def test_the_storage_host_backs_up_what_cannot_be_made_again() -> None:
    nfs = server(BUCKET, s3=S3, keep={"daily": 7, "weekly": 0, "monthly": 3}, schedule="03:00")
    (step,) = backup_steps(nfs, dataset_plans(nfs), NODES)
    assert (step.name, step.subject, step.host, step.after) == (
        "data-backup",
        "store-1",
        "store-1",
        (("datasets", "store-1"),),
    )
    values = step.values
    # Groups and homes with all beneath them; neither scratch, nor requests for homes, nor what can be fetched again.
    assert values["DATASETS"] == ("tank/datasets", "tank/groups", "tank/homes")
    assert values["BACKUP_PASSWORD"] == SecretRef(secret="backupPassword")
    assert values["S3_SECRET_ACCESS_KEY"] == SecretRef(secret="backupKey")
    assert (values["KEEP_DAILY"], values["KEEP_WEEKLY"], values["KEEP_MONTHLY"]) == (7, 0, 3)
    assert values["BACKUP_SCHEDULE"] == "03:00"


def test_every_part_of_the_programs_is_put_on_the_host() -> None:
    nfs = server("/srv/backup")
    (step,) = backup_steps(nfs, dataset_plans(nfs), NODES)
    assert step.values["S3_ACCESS_KEY_ID"] is None
    parts = [str(part) for name in ("BACKUP_SCRIPTS", "RESTORE_SCRIPTS") for part in _texts(step.values[name])]
    for part in parts:
        assert any(part.startswith(f"/usr/local/lib/research-compute/steps/{name}-") for name in step.files), part
    assert parts[0].startswith("/usr/local/lib/research-compute/steps/repository-")
    assert read_script("repository").startswith("#!/bin/bash\n")
    assert set(RESTORE_SCRIPTS) <= set(step.files)


def _texts(value: object) -> tuple[object, ...]:
    assert isinstance(value, tuple)
    return value  # pyright: ignore[reportUnknownVariableType] - of a step's values


@pytest.mark.parametrize(
    ("nfs", "path"),
    [
        (server("/srv/backup"), None),
        (server(BUCKET, s3=S3), None),
        (server(BUCKET), "s3"),
        (server("/srv/backup", s3=S3), "s3"),
        (server("/srv/backup", keep={"daily": 0, "weekly": 0, "monthly": 0}), "keep"),
        (server("/srv/backup", keep={"daily": 0, "weekly": 0, "monthly": 1}), None),
        (server("/tank/backup"), "repository"),
        (server("/fast/backup"), "repository"),
        (server("/vault/backup"), "repository"),
        (server("/vault/backup", pool="other"), None),
    ],
)
def test_what_is_wrong(nfs: NfsStorage, path: str | None) -> None:
    paths = [problem.path for problem in check_backup(nfs)]
    assert paths == ([] if path is None else [("nfs", "backup", path)])
