"""A storage host that backs its data up, a bucket to put it in, and a project whose labctl restores it."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3
import yaml
from bed import Bed, Host
from lab_copy import Ended, LabCopy, copy_project
from moto.server import ThreadedMotoServer
from storage_hosts import StorageHosts, lay_disks, pool, prepare_storage

from components.storage.config import StorageConfig
from labctl.engine.state import SecretsManager
from labctl.engine.state.passphrase import Passphrase
from labctl.engine.state.stack_file import write_salt

__all__ = ["DATASETS", "HOMES", "MARK", "UNIT", "BackupLab", "make_backup_lab"]

STACK = "test-backup"
HOMES = "tank/homes/hub-test-backup"
"""Homes of the stack's hub: its namespace carries the stack."""
PASSWORD = "correct horse"
PASSPHRASE = "bed"
SECRETS: Mapping[str, str] = {
    "backupPassword": PASSWORD,
    "wrongPassword": "another horse",
    "backupId": "AKIA4711",
    "backupKey": "canary-key-4711",
    "githubSecret": "canary-github-4711",
}
MARK = "a sentence that nobody must find in the bucket"
POOLS = {"tank": ("one", "two")}
SECONDS = 300
MARKERS = "/var/lib/research-compute/markers/pool-*"
"""What a host remembers of its pools."""
ANYBODY = {"Authorization": "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request"}
"""What the server takes for a signature; it looks at none."""
UNIT = "research-compute-data-backup"
DATASETS = ("zfs", "pool", "datasets")
"""Steps that make pools and file systems."""
HUB: Mapping[str, object] = {
    "authentication": {
        "kind": "github",
        "clientId": "Ov23liBed",
        "clientSecret": {"secret": "githubSecret"},
        "organizations": ["bed-example"],
    },
    "homes": {"key": "username", "capacity": "1Gi", "mountPath": "/home/jovyan"},
    "profiles": [
        {
            "slug": "minimal",
            "name": "Minimal",
            "description": "Python and a terminal.",
            "image": "minimal-notebook",
            "default": True,
            "resources": {"guarantee": {"cpu": "500m", "memory": "1Gi"}},
        }
    ],
}
"""A hub's section: what there is of it here is its database."""

_TREE = r"""
import hashlib, json, os, stat, sys
acls = ("system.posix_acl_access",)
found = {}
for top in sys.argv[1:]:
    for folder, folders, files in os.walk(top):
        for name in ["", *folders, *files]:
            path = os.path.join(folder, name) if name else folder
            is_mount = name and name in folders and os.path.ismount(path)
            if is_mount or path in found:
                continue
            about = os.lstat(path)
            content = ""
            if stat.S_ISREG(about.st_mode):
                content = hashlib.sha256(open(path, "rb").read()).hexdigest()
            elif stat.S_ISLNK(about.st_mode):
                content = os.readlink(path)
            extra = {} if stat.S_ISLNK(about.st_mode) else {
                each: os.getxattr(path, each).hex() for each in os.listxattr(path)
                if each not in acls or os.getxattr(path, each)[4:].count(b"\xff\xff\xff\xff") != 3
            }
            links = about.st_nlink if stat.S_ISREG(about.st_mode) else 0
            times = 0 if stat.S_ISLNK(about.st_mode) else about.st_mtime_ns
            found[path] = [oct(about.st_mode), about.st_uid, about.st_gid, times, links, content, extra]
        folders[:] = [each for each in folders if not os.path.ismount(os.path.join(folder, each))]
print(json.dumps(found))
"""
"""Prints all there is beneath folders, without other file systems: owner, mode, time, links, content, attributes.

An access control list that says no more than the mode is left out: `cp` writes it, the kernel's file systems drop it,
and zfs-fuse keeps it as it is.
"""

Tree = dict[str, list[object]]


@dataclass(frozen=True)
class BackupLab:
    """One storage host and a copy of the project that knows it."""

    hosts: StorageHosts
    copy: LabCopy
    bucket_url: str

    @property
    def host(self) -> Host:
        return self.hosts.host()

    def storage(self, repository: str | None = None, key: str = "backupPassword", **keep: int) -> StorageConfig:
        """Return the storage section with backups in the bucket, or in a directory."""
        place = repository or self.bucket_url
        keys = {"accessKeyId": {"secret": "backupId"}, "secretAccessKey": {"secret": "backupKey"}}
        backup: dict[str, object] = {
            "repository": place,
            "password": {"secret": key},
            "keep": keep or {"daily": 3},
        }
        if place.startswith("s3:"):
            backup["s3"] = keys
        return self.hosts.storage(
            {name: pool("mirror", [f"/disks/{disk}" for disk in disks]) for name, disks in POOLS.items()},
            scratch={"path": "/tank/scratch", "onDelete": "delete"},
            shared=[{"name": "datasets", "path": "/tank/datasets", "mountPath": "/srv/datasets", "size": "100Mi"}],
            groups={"physics": {"gid": 5001}},
            groupFolders={"path": "/tank/groups", "mountPath": "/srv/groups"},
            backup=backup,
        )

    def set_up(self, storage: StorageConfig) -> None:
        """Have the backup step done."""
        self.hosts.up(storage, ("data-backup",))

    def shell(self, command: str, *, check: bool = True) -> str:
        """Run a command on the host as root."""
        return self.host.run("bash -s", sudo=True, text=command, check=check, seconds=SECONDS)

    def back_up(self) -> None:
        """Have a copy made now."""
        said = self.shell(f"systemctl start {UNIT} 2>&1 || journalctl -u {UNIT} -n 20 -o cat --no-pager", check=False)
        assert said == "", said

    def tree(self, *folders: str) -> Tree:
        """Return all there is in folders."""
        return json.loads(self.shell(f"python3 - {' '.join(folders)} <<'END'\n{_TREE}END\n"))

    def restic(self, *arguments: str) -> str:
        """Run restic on the host as the backups do."""
        opened = (
            ". /etc/research-compute/data-backup/settings; export TZ=UTC ${!RESTIC_@} AWS_SHARED_CREDENTIALS_FILE; "
        )
        return self.shell(f"{opened} restic --quiet {' '.join(arguments)}")

    def copies(self) -> list[dict[str, str]]:
        """Return the copies in the repository, the oldest first."""
        return json.loads(self.restic("snapshots", "--json"))

    def labctl(self, *arguments: str) -> Ended:
        """Run ``labctl restore`` to its end, as a person does from outside."""
        done = self.copy.run("restore", *arguments)
        for secret in SECRETS.values():
            assert secret not in done.text
        return done

    def restored(self, *arguments: str) -> str:
        """Run ``labctl restore``, which must succeed, and return what it said."""
        done = self.labctl(*arguments)
        assert done.code == 0, done.text
        return done.out

    def bucket_content(self) -> bytes:
        """Return all that is in the bucket, one object after the other."""
        url = self.bucket_url.removeprefix("s3:")
        listed = urllib3.request("GET", url, fields={"list-type": "2"}).data.decode()
        assert "<IsTruncated>true" not in listed
        keys = re.findall("<Key>([^<]+)</Key>", listed)
        return b"".join(urllib3.request("GET", f"{url}/{key}", headers=ANYBODY).data for key in keys)

    def lay_pools(self) -> None:
        """Have new disks in the place of those there were, and the pools and file systems of the plan on them."""
        names = [disk for disks in POOLS.values() for disk in disks]
        # zfs-fuse may be a moment late to let go. The machine forgets the pools, as a new one would not know of them.
        self.shell(f"""for pool in $(zpool list -H -o name 2>/dev/null); do
            for attempt in $(seq 50); do zpool destroy -f $pool 2>/dev/null && break; sleep 0.2; done
        done; rm -f {MARKERS}; ! zpool list -H -o name 2>/dev/null | grep .""")
        lay_disks(self.host, *names)
        self.hosts.up(self.storage(), DATASETS)


def write_stack(lab: BackupLab) -> None:
    """Write the stack file: the host as the only machine, the storage section, the secrets sealed."""
    manager = SecretsManager(None, (Passphrase("the test", PASSPHRASE),))
    storage = lab.storage().model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    host = lab.host
    config: dict[str, object] = {
        "research-compute:cluster": {
            "name": "bed",
            "domain": "bed.example.org",
            "contact": "cluster@bed.example.org",
            "nodes": {
                "ssh": {"user": "ubuntu", "privateKey": {"secret": "sshPrivateKey"}},
                "hosts": {
                    host.name: {
                        "address": host.address,
                        "roles": ["control-plane", "storage"],
                        "hostKey": host.host_key,
                        "hardware": {"cpus": 2, "memory": "8Gi", "ephemeralStorage": "10G"},
                    }
                },
            },
            "network": {
                "hosts": f"{host.address.rpartition('.')[0]}.0/24",
                "pods": "10.244.0.0/16",
                "services": "10.96.0.0/16",
                "cni": {"kind": "calico"},
                "gateway": {"kind": "envoy"},
                "certificates": {"kind": "self-signed"},
                "hostnames": {"hub": "hub.bed.example.org"},
            },
            "storage": storage,
            "hub": HUB,
        }
    }
    key = Path(lab.hosts.bed.access.key).read_text(encoding="utf-8")
    for name, value in {**SECRETS, "sshPrivateKey": key}.items():
        config[f"research-compute:{name}"] = {"secure": manager.encrypt(value)}
    lab.copy.file.write_text(yaml.safe_dump({"config": config}, sort_keys=False), encoding="utf-8")
    write_salt(lab.copy.file, manager.salt or "")


@contextmanager
def bucket(address: str) -> Generator[str]:
    """Yield the repository's name in a bucket that moto serves on this machine's side of the bed's network."""
    server = ThreadedMotoServer(ip_address=address, port=0)
    server.start()
    try:
        _, port = server.get_host_and_port()
        yield f"s3:http://{address}:{port}/lab-backup"
    finally:
        server.stop()


@contextmanager
def make_backup_lab(bed: Bed, folder: Path) -> Generator[BackupLab]:
    """Yield a storage host with a pool, file systems and a few people's data, and its bucket."""
    project = folder / "project"
    copied = copy_project(project)
    copy = LabCopy(copied.root, STACK, {"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE, "COLUMNS": "200"})
    with bucket(bed.address) as url, prepare_storage(bed, folder / "mirror", SECRETS) as hosts:
        lab = BackupLab(hosts, copy, url)
        lab.lay_pools()
        write_stack(lab)
        yield lab
