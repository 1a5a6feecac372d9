"""A PostgreSQL server on loopback, with a certificate, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from debian_programs import POSTGRES, path_of
from lab_authority import Authority

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["DATABASE", "HOST", "PASSWORD", "ROLE", "PostgresBed"]

HOST: Final = "db.lab.example.org"
"""What its certificate says, and the hub calls it; PGHOSTADDR leads there without DNS."""
ROLE = DATABASE = "jupyterhub"
PASSWORD: Final = "canary-of-the-database"
_OWNER: Final = "postgres"
"""User of Debian's package; the server refuses to run as root."""


class PostgresBed:
    """The server, its authority, and its programs."""

    def __init__(self) -> None:
        self.programs = path_of(POSTGRES).parent
        self.authority = Authority("Database CA")
        # pytest's own folders are closed to the server's user.
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-bed-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    @property
    def environment(self) -> dict[str, str]:
        """What libpq needs to find it under its name."""
        return {"PGHOSTADDR": "127.0.0.1", "PGPASSWORD": PASSWORD}

    def __enter__(self) -> Self:
        password = self.folder / "password"
        certificate, key = self.authority.issue(HOST)
        for path, text in (
            (password, PASSWORD),
            (self.folder / "server.crt", certificate),
            (self.folder / "server.key", key),
        ):
            path.touch(mode=0o600)
            path.write_text(text, encoding="utf-8")
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, _OWNER, _OWNER)
        data = self.folder / "data"
        self.run("initdb", "-D", str(data), "-U", _OWNER, "-A", "scram-sha-256", "--pwfile", str(password), "-N")
        with (data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(
                f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = '{self.folder}'\n"
                f"ssl = on\nssl_cert_file = '{self.folder}/server.crt'\nssl_key_file = '{self.folder}/server.key'\n"
                "fsync = off\n"
            )
        # Nobody comes in unsealed, as a careful owner of a database has it.
        (data / "pg_hba.conf").write_text(
            f"local all {_OWNER} trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n", encoding="utf-8"
        )
        self.start()
        self.query(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'", database="postgres")
        self.query(f"CREATE DATABASE {DATABASE} OWNER {ROLE}", database="postgres")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it; it answers then."""
        data, log = str(self.folder / "data"), str(self.folder / "log")
        self.run("pg_ctl", "start", "-D", data, "-l", log, "--wait")

    def stop(self, *, check: bool = True) -> None:
        """Stop it at once; whoever is connected loses the connection."""
        self.run("pg_ctl", "stop", "-D", str(self.folder / "data"), "-m", "fast", "--wait", check=check)

    def query(self, statement: str, *, database: str = DATABASE) -> str:
        """Return what a statement gives, asked as the server's owner."""
        place = ["-h", str(self.folder), "-p", str(self.port), "-U", _OWNER, "-d", database]
        return self.run("psql", *place, "--no-psqlrc", "-At", "-v", "ON_ERROR_STOP=1", "-c", statement)

    def run(self, program: str, *arguments: str, check: bool = True) -> str:
        """Run one of its programs as its owner; return what that prints."""
        return self.shell(f'exec "{program}" "$@"', *arguments, check=check)

    def shell(self, script: str, *arguments: str, check: bool = True) -> str:
        """Run a script as its owner, its programs in the path."""
        before = ["runuser", "-u", _OWNER, "--"] if os.geteuid() == 0 else []
        ended = subprocess.run(
            [*before, "bash", "-euc", script, "bash", *arguments],
            cwd=self.folder,
            env={"PATH": f"{self.programs}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or ended.returncode == 0, f"{script} {arguments}: {ended.stdout}{ended.stderr}"
        return ended.stdout.strip()
