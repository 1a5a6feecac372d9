"""When the hub's SQLite may use a write-ahead log."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.hub.files.lab_hub.database import is_on_network

MOUNTS = """\
overlay / overlay rw 0 0
/dev/sdb /srv/jupyterhub ext4 rw 0 0
nas:/hub /srv/shared nfs4 rw 0 0
/dev/sdc /srv/shared/local xfs rw 0 0
nas:/a\\040b /srv/with\\040blank nfs rw 0 0
x /srv/fuse fuse.something rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "is_network"),
    [
        ("/srv/jupyterhub/jupyterhub.sqlite", False),
        ("/srv/shared/jupyterhub.sqlite", True),
        ("/srv/shared/local/jupyterhub.sqlite", False),
        ("/srv/with blank/jupyterhub.sqlite", True),
        ("/srv/fuse/jupyterhub.sqlite", True),
        ("/tmp/jupyterhub.sqlite", False),  # noqa: S108 - a path, not a file
    ],
)
def test_a_network_file_system_is_told_by_its_mount(path: str, is_network: bool) -> None:  # noqa: FBT001 - a table
    assert is_on_network(Path(path), MOUNTS) is is_network
