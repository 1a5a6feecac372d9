"""Everything the processes of a local hub read, written down before they start: settings, secrets, files, access."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from labctl.control_plane.components import Layout
from labctl.control_plane.pki import write_private
from labctl.control_plane.pods.machine import cluster_content
from labctl.control_plane.pods.runner import fresh_token
from labctl.control_plane.pods.settings import AccountToken, RunnerSettings

from .access import ACCOUNT, apply_access
from .chart import translate
from .components import Way, hub_components
from .errors import MissingSecretError, UnresolvableVariableError
from .local import Places, hub_settings
from .places import HubPort, address, keep_secrets
from .trees import as_mapping, at

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from labctl.control_plane import ControlPlane
    from labctl.control_plane.client import ApiClient

    from .chart import HubRelease, Translation
    from .components import HubComponent
    from .places import HubFolders
    from .programs import HubPrograms

__all__ = ["Preparation"]

PROXY_TOKEN = "hub.config.ConfigurableHTTPProxy.auth_token"  # noqa: S105 - the chart's key, not the token


class Preparation:
    """What one start writes.

    Parameters
    ----------
    folders
        Where.
    plane
        The embedded control plane; runs.
    client
        Speaks to it as its administrator.
    programs
        What is run.
    """

    def __init__(self, folders: HubFolders, plane: ControlPlane, client: ApiClient, programs: HubPrograms) -> None:
        self._folders, self._plane, self._client, self._programs = folders, plane, client, programs

    def hub(
        self, release: HubRelease, ports: Mapping[HubPort, int], mark: str, *, runs_servers: bool
    ) -> dict[str, HubComponent]:
        """Write all that the hub, its proxy and the pod runner read, and return how they are run.

        Parameters
        ----------
        release
            What the hub is to be.
        ports
            Where they listen.
        mark
            Of the processes that the hub starts.
        runs_servers
            Whether users' servers are processes of this machine.

        Raises
        ------
        UntranslatedValuesError, MissingSecretError, UnresolvableVariableError, ApiRequestError
            The release cannot be run here as it is.
        """
        folders = self._folders
        translation = translate(release)
        if release.is_recorded:
            apply_access(self._client, release)
        names = (PROXY_TOKEN, *(f"hub.services.{service}.apiToken" for service in translation.services))
        tokens = keep_secrets(folders.tokens, names)
        of_cluster = {} if translation.secret is None else self._secret(release.namespace, translation.secret)
        write_private(folders.secrets, json.dumps(tokens | of_cluster, sort_keys=True).encode())
        self._write_files(translation)
        settings = hub_settings(
            translation,
            Places(
                public=address(ports[HubPort.PUBLIC]),
                proxy_api=address(ports[HubPort.PROXY_API]),
                hub=address(ports[HubPort.HUB]),
                database=folders.database,
                secrets=folders.secrets,
                token=folders.token,
                authority=self._authority,
                files=folders.files,
                volumes=self._hub_volumes(release, translation),
                mark=mark,
                runs_servers=runs_servers,
            ),
        )
        write_private(folders.settings, json.dumps(settings, sort_keys=True).encode())
        token = AccountToken(namespace=release.namespace, account=ACCOUNT, path=folders.token)
        folders.token.parent.mkdir(exist_ok=True, mode=0o700)
        fresh_token(self._client, token)
        self._write_runner(release.namespace, (token,))
        way = Way(
            base_url=str(at(translation.values, "hub.baseUrl")),
            variables=self._variables(release, translation),
            proxy_token=tokens[PROXY_TOKEN],
            mark=mark,
        )
        return hub_components(folders, self._programs, ports, way)

    def runner(self) -> str:
        """Write what the pod runner reads, as it was but for where the API server is now; return its namespace."""
        kept = RunnerSettings.model_validate_json(self._folders.runner.read_bytes())
        self._write_runner(kept.namespace, kept.tokens)
        return kept.namespace

    @property
    def _authority(self) -> Path:
        return Layout(self._plane.directory).pki / "ca.crt"

    def _write_files(self, translation: Translation) -> None:
        """Leave exactly the release's files in the folder that stands for the hub's container."""
        if self._folders.files.exists():
            shutil.rmtree(self._folders.files)
        for path, text in translation.files.items():
            file = self._folders.files / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")

    def _write_runner(self, namespace: str, tokens: tuple[AccountToken, ...]) -> None:
        # What kwok plays nodes with: the runner is the kubelet of those nodes for its pods.
        certificate, key = Layout(self._plane.directory).certificate("kwok")
        # Other users' processes go through it to their volumes.
        self._folders.pods.mkdir(exist_ok=True, mode=0o711)
        settings = RunnerSettings(
            directory=self._folders.pods,
            server=self._plane.status().server or "",
            authority=self._authority,
            certificate=certificate,
            key=key,
            programs=(self._programs.environment / "bin",),
            visible=self._programs.interpreter_folders,
            default_command=("jupyterhub-singleuser",),
            namespace=namespace,
            tokens=tokens,
        )
        write_private(self._folders.runner, settings.model_dump_json(indent=1).encode())

    def _variables(self, release: HubRelease, translation: Translation) -> dict[str, str]:
        """Return the variables of the hub's container, those out of Secrets included."""
        server = self._plane.status().server or ""
        found = {
            "HELM_RELEASE_NAME": release.name,
            "POD_NAMESPACE": release.namespace,
            "KUBERNETES_SERVICE_HOST": server.removeprefix("https://").partition(":")[0],
            "KUBERNETES_SERVICE_PORT": server.rpartition(":")[2],
        }
        for name, value in translation.environment.items():
            if not isinstance(value, dict):
                found[name] = str(value)
            elif "valueFrom" not in value:
                found[name] = str(value.get("value", ""))
            else:
                source = as_mapping(value["valueFrom"])
                reference = as_mapping(source.get("secretKeyRef"))
                if not reference:
                    raise UnresolvableVariableError(name, ", ".join(source))
                secret, key = str(reference["name"]), str(reference["key"])
                known = self._secret(release.namespace, secret)
                if key not in known:
                    raise MissingSecretError(namespace=release.namespace, name=secret, key=key)
                found[name] = known[key]
        return found

    def _hub_volumes(self, release: HubRelease, translation: Translation) -> dict[str, Path]:
        """Return a folder for each volume of the hub's pod, filled where its content comes from the cluster."""
        folders: dict[str, Path] = {}
        for name, volume in translation.volumes.items():
            source = as_mapping(volume)
            claim = as_mapping(source.get("persistentVolumeClaim")).get("claimName")
            folder = folders[name] = self._folders.directory / "volumes" / (f"claim-{claim}" if claim else name)
            folder.mkdir(parents=True, exist_ok=True)
            for kind, part, key in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
                reference = as_mapping(source.get(part))
                if reference:
                    for file, text in self._content(release.namespace, kind, str(reference[key])).items():
                        (folder / file).write_bytes(text)
        return folders

    def _secret(self, namespace: str, name: str) -> dict[str, str]:
        return {key: value.decode() for key, value in self._content(namespace, "Secret", name).items()}

    def _content(self, namespace: str, kind: str, name: str) -> Mapping[str, bytes]:
        content = cluster_content(self._client, namespace, kind, name)
        if content is None:
            raise MissingSecretError(namespace=namespace, name=name, key="*")
        return content
