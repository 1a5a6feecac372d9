"""A real JupyterLab with the extension and its notices as a pod has them, for a browser to look at.

The folder is what the kubelet makes of the planned volume: files below ``..data``, a link to the folder of the present
content, which is replaced as a whole (Kubernetes' ``atomic_writer``).
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from components.hub.limits.plan import NOTICES, NOTICES_FOLDER, limits_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from components.hub.config import HubConfig

__all__ = ["LabBed", "project"]

_Volume: TypeAlias = "Mapping[str, Mapping[str, Sequence[Mapping[str, Mapping[str, object]]]]]"
START_SECONDS = 60.0
STOP_SECONDS = 15.0


def project(config: HubConfig, folder: Path, files: Mapping[str, str], annotations: Mapping[str, str]) -> None:
    """Put the planned volume's content into a folder, as the kubelet does for a pod with these annotations.

    Parameters
    ----------
    config
        Hub section; its planned volume says what goes where.
    folder
        Where the volume is mounted.
    files
        Content of the ConfigMap by key.
    annotations
        Of the pod.
    """
    volume = cast("_Volume", limits_part(config).server_volumes[NOTICES])
    content: dict[str, str] = {}
    for source in volume["projected"]["sources"]:
        for item in cast("Sequence[Mapping[str, str]]", source.get("configMap", {}).get("items", ())):
            content[item["path"]] = files[item["key"]]
        for item in cast("Sequence[Mapping[str, object]]", source.get("downwardAPI", {}).get("items", ())):
            field = cast("Mapping[str, str]", item["fieldRef"])["fieldPath"]
            key = field.removeprefix("metadata.annotations['").removesuffix("']")
            content[str(item["path"])] = annotations.get(key, "")
    folder.mkdir(parents=True, exist_ok=True)
    present = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    for path, text in content.items():
        (present / path).parent.mkdir(parents=True, exist_ok=True)
        (present / path).write_text(text, encoding="utf-8")
    link = folder / "..data"
    former = link.resolve() if link.is_symlink() else None
    (folder / "..data_tmp").symlink_to(present.name)
    (folder / "..data_tmp").rename(link)
    for top in {Path(path).parts[0] for path in content}:
        if not (folder / top).is_symlink():
            (folder / top).symlink_to(Path("..data") / top)
    if former is not None:
        shutil.rmtree(former)


class LabBed:
    """JupyterLab on loopback, which finds the extension by the planned variable."""

    def __init__(self, python: Path, config: HubConfig, home: Path, volume: Path) -> None:
        self._python, self._home = python, home
        variables = cast("Mapping[str, str]", limits_part(config).server_environment)
        # The volume is mounted elsewhere here than in a pod; the variable says the same of it.
        self._variables = {key: text.replace(NOTICES_FOLDER, str(volume)) for key, text in variables.items()}
        with closing(socket.socket()) as found:
            found.bind(("127.0.0.1", 0))
            self._port = cast("tuple[str, int]", found.getsockname())[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://127.0.0.1:{self._port}/lab"

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of its process."""
        return {"PATH": f"{self._python.parent}:{os.environ['PATH']}", "HOME": str(self._home), **self._variables}

    @property
    def log(self) -> str:
        """What it has said."""
        return (self._home / "lab.log").read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        self._home.mkdir(parents=True, exist_ok=True)
        command = [str(self._python), "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
        options = [f"--ServerApp.port={self._port}", "--IdentityProvider.token=", f"--ServerApp.root_dir={self._home}"]
        with (self._home / "lab.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *options],
                cwd=self._home,
                env=dict(self.environment),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while self.get("/api")[0] != http.client.OK:
            assert self._process.poll() is None, self.log[-3000:]
            assert time.monotonic() < deadline, self.log[-3000:]
            time.sleep(0.2)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def get(self, path: str) -> tuple[int, str]:
        """Return status and text of one of its pages; 0 while it does not answer."""
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)) as connection:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode(errors="replace")
        except OSError:
            return 0, ""
