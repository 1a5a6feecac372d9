"""The Deployment of the program that keeps the table of identities in step with a directory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs, DeploymentStrategyArgs
from pulumi_kubernetes.core.v1 import (
    CapabilitiesArgs,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    EmptyDirVolumeSourceArgs,
    EnvVarArgs,
    ExecActionArgs,
    KeyToPathArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    SecretVolumeSourceArgs,
    SecurityContextArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from components.namespaces.plan import LABEL_DOMAIN

from .plan import PROGRAM_FILES, SYNC_LABELS

if TYPE_CHECKING:
    import pulumi

    from components.quantities import Duration

__all__ = ["PASSWORD_KEY", "SETTINGS_FILE", "SyncNames", "program_key", "sync_deployment"]

PASSWORD_KEY = "password"  # noqa: S105 - the key's name
SETTINGS_FILE = "settings.json"
PROGRAM_ANNOTATION = f"{LABEL_DOMAIN}/program"
"""Digest of program and settings."""
PROGRAM, PASSWORD, STATE = "/srv/program", "/srv/password", "/run/identity-sync"
RUN_AS = 1000
"""User and group of the hub's image (``jovyan``, ``images/hub/Dockerfile``)."""
REQUESTS, LIMITS = {"cpu": "20m", "memory": "96Mi"}, {"memory": "512Mi"}
"""5,000 people in 500 groups, eight each, took 63 MB and 0.7 s of one core a round (docs/identity.md). No limit of CPU:
it runs for a moment every few minutes."""
PROBE_PERIOD_SECONDS = 60
PROBE_TIMEOUT_SECONDS = 10
"""Of a look at a file's age; a Python starts for it."""
MISSED_ROUNDS = 3
"""Rounds that may fail before the pod counts as not ready. It goes on as it is: the table holds, and a restart would
not bring a directory back."""
LONGEST_ROUND_SECONDS = 600
"""After the pause between two rounds; a program that takes longer hangs, and is restarted."""


@dataclass(frozen=True, kw_only=True)
class SyncNames:
    """Names of what the Deployment uses."""

    account: str
    password: str
    program: str


def program_key(path: str) -> str:
    """Return a file's key in the ConfigMap that carries it; there a name has no slash."""
    return path.replace("/", ".")


def sync_deployment(  # noqa: PLR0913 - what differs from lab to lab
    name: str,
    namespace: pulumi.Input[str],
    names: SyncNames,
    *,
    image: str,
    every: Duration,
    has_password: bool,
    digest: str,
    priority: pulumi.Input[str] | None,
    opts: pulumi.ResourceOptions,
) -> Deployment:
    """Run the sync: one pod, never two at once.

    Parameters
    ----------
    name, namespace
        Of the resource and of the object.
    names
        What it uses.
    image
        With Python and ldap3.
    every
        Between two rounds.
    has_password
        Whether there is a Secret with one.
    digest
        Of program and settings.
    priority
        PriorityClass, or None.
    opts
        Of the resource.
    """
    template = PodTemplateSpecArgs(
        metadata=ObjectMetaArgs(labels=SYNC_LABELS, annotations={PROGRAM_ANNOTATION: digest}),
        spec=PodSpecArgs(
            service_account_name=names.account,
            automount_service_account_token=True,
            enable_service_links=False,
            priority_class_name=priority,
            security_context=PodSecurityContextArgs(
                run_as_non_root=True,
                run_as_user=RUN_AS,
                run_as_group=RUN_AS,
                fs_group=RUN_AS,
                seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
            ),
            containers=[_container(image, every, has_password=has_password)],
            volumes=_volumes(names, has_password=has_password),
        ),
    )
    return Deployment(
        name,
        metadata=ObjectMetaArgs(name="identity-sync", namespace=namespace, labels=SYNC_LABELS),
        spec=DeploymentSpecArgs(
            replicas=1,
            strategy=DeploymentStrategyArgs(type="Recreate"),
            selector=LabelSelectorArgs(match_labels=SYNC_LABELS),
            template=template,
        ),
        opts=opts,
    )


def _container(image: str, every: Duration, *, has_password: bool) -> ContainerArgs:
    mounts = [
        VolumeMountArgs(name="program", mount_path=PROGRAM, read_only=True),
        VolumeMountArgs(name="state", mount_path=STATE),
    ]
    if has_password:
        mounts.append(VolumeMountArgs(name="password", mount_path=PASSWORD, read_only=True))
    environment = {
        "PYTHONPATH": PROGRAM,
        "PYTHONDONTWRITEBYTECODE": "1",
        "IDENTITY_SYNC_PASSWORD": f"{PASSWORD}/{PASSWORD_KEY}",
        "IDENTITY_SYNC_STATE": STATE,
    }
    return ContainerArgs(
        name="identity-sync",
        image=image,
        command=["python3", "-m", "lab.identity_sync", f"{PROGRAM}/{SETTINGS_FILE}"],
        env=[EnvVarArgs(name=key, value=value) for key, value in environment.items()],
        resources=ResourceRequirementsArgs(requests=REQUESTS, limits=LIMITS),
        readiness_probe=_probe("good", MISSED_ROUNDS * every.seconds + LONGEST_ROUND_SECONDS),
        liveness_probe=_probe("round", every.seconds + LONGEST_ROUND_SECONDS, first=LONGEST_ROUND_SECONDS),
        security_context=SecurityContextArgs(
            allow_privilege_escalation=False,
            capabilities=CapabilitiesArgs(drop=["ALL"]),
            read_only_root_filesystem=True,
        ),
        volume_mounts=mounts,
    )


def _probe(file: str, seconds: int, first: int | None = None) -> ProbeArgs:
    alive = ["python3", f"{PROGRAM}/lab/identity_sync/alive.py", f"{STATE}/{file}", str(seconds)]
    return ProbeArgs(
        exec_=ExecActionArgs(command=alive),
        initial_delay_seconds=first,
        # Ready soon after the first round, not a minute later.
        period_seconds=PROBE_PERIOD_SECONDS if first is not None else PROBE_TIMEOUT_SECONDS,
        timeout_seconds=PROBE_TIMEOUT_SECONDS,
    )


def _volumes(names: SyncNames, *, has_password: bool) -> list[VolumeArgs]:
    files = [KeyToPathArgs(key=program_key(path), path=f"lab/{path}") for path in PROGRAM_FILES]
    program = ConfigMapVolumeSourceArgs(
        name=names.program, items=[*files, KeyToPathArgs(key=SETTINGS_FILE, path=SETTINGS_FILE)]
    )
    volumes = [
        VolumeArgs(name="program", config_map=program),
        VolumeArgs(name="state", empty_dir=EmptyDirVolumeSourceArgs(size_limit="1Mi")),
    ]
    if has_password:
        secret = SecretVolumeSourceArgs(secret_name=names.password, default_mode=0o440)
        volumes.append(VolumeArgs(name="password", secret=secret))
    return volumes
