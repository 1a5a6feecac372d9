"""Charts that tests install, written by the tests; a repository that serves them on loopback."""

from __future__ import annotations

import base64
import io
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

GREETER = {
    "Chart.yaml": "apiVersion: v2\nname: greeter\nversion: 1.2.3\nappVersion: '7'\n",
    "values.yaml": "greeting: hello\nnested:\n  count: 0\nbroken: false\n",
    "templates/greeting.yaml": """apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-greeting
  namespace: {{ .Release.Namespace }}
data:
  greeting: {{ .Values.greeting | quote }}
  count: {{ .Values.nested.count | quote }}
{{- if .Values.broken }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: Not_A_Name
{{- end }}
""",
}


def write_chart(folder: Path, files: dict[str, str] | None = None) -> Path:
    """Write a chart; return its folder."""
    for name, text in (files or GREETER).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def packed(folder: Path) -> Path:
    """Write the chart as an archive; return its path."""
    path = folder / "greeter-1.2.3.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in GREETER.items():
            data = text.encode()
            member = tarfile.TarInfo(f"greeter/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


class ChartRepository:
    """A Helm repository with the greeter chart, on loopback; asks for a password if it has one."""

    def __init__(self, folder: Path, password: str = "") -> None:
        folder.mkdir()
        packed(folder)
        entry = "{apiVersion: v2, name: greeter, version: 1.2.3, urls: [greeter-1.2.3.tgz]}"
        (folder / "index.yaml").write_text(f"apiVersion: v1\nentries:\n  greeter: [{entry}]\n", encoding="utf-8")
        wanted = "Basic " + base64.b64encode(f"lab:{password}".encode()).decode() if password else None

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                if wanted and self.headers.get("Authorization") != wanted:
                    self.send_error(401)
                    return
                super().do_GET()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
