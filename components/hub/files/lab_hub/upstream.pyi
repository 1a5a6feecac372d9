# Types of what this package uses of JupyterHub 5.5 and KubeSpawner 7.1.

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

JsonObject: TypeAlias = dict[str, Any]
# A Kubernetes object as the API server sends it.
Untyped: TypeAlias = Any
# What has no type upstream: a client of many methods, a model of kubernetes_asyncio, a user of the hub.
_Method = TypeVar("_Method", bound=Callable[..., Awaitable[None]])

class Log(Protocol):
    def debug(self, message: str, *arguments: object) -> None: ...
    def info(self, message: str, *arguments: object) -> None: ...
    def warning(self, message: str, *arguments: object) -> None: ...

class ResourceReflector:
    kind: str
    log: Log
    api: Untyped
    namespace: str
    omit_namespace: bool
    list_method_name: str
    label_selector: str
    field_selector: str
    resources: dict[str, JsonObject]
    _stopping: bool

    def __init__(self, *given: object, **named: object) -> None: ...
    async def _list_and_update(self, resource_version: str | None = None) -> str: ...
    async def _watch_and_update(self) -> None: ...

class PodReflector(ResourceReflector): ...
class EventReflector(ResourceReflector): ...

class HubUser(Protocol):
    name: str
    escaped_name: str
    spawners: dict[str, KubeSpawner]

class _Started(Protocol):
    def __call__(
        self,
        *,
        kind: str,
        reflector_class: type[ResourceReflector],
        replace: bool,
        omit_namespace: bool,
        labels: Mapping[str, str] = ...,
        fields: Mapping[str, str] = ...,
    ) -> Awaitable[ResourceReflector]: ...

class KubeSpawner:
    name: str
    user: HubUser
    log: Log
    api: Untyped
    namespace: str
    pod_name: str
    pvc_name: str
    pod_id: str
    start_timeout: int
    delete_grace_period: int
    k8s_api_request_retry_timeout: int
    storage_pvc_ensure: bool
    internal_ssl: bool
    services_enabled: bool
    enable_user_namespaces: bool
    modify_pod_hook: Callable[[KubeSpawner, Untyped], Untyped] | None
    profile_list: Untyped
    pending: str | None
    ready: bool
    active: bool
    component_label: str
    pod_reflector: ResourceReflector | None
    event_reflector: ResourceReflector | None
    reflectors: ClassVar[dict[object, ResourceReflector]]
    lab_giving_up: asyncio.Task[None]
    _pvc_exists: bool
    _start_future: asyncio.Future[str] | None
    _spawn_future: asyncio.Future[None] | None
    _spawn_pending: bool
    _waiting_for_response: bool
    _proxy_pending: bool
    _log_name: str
    _start_reflector: _Started

    def __init__(self, *given: object, **named: object) -> None: ...
    async def stop(self, now: bool = False) -> None: ...
    async def load_user_options(self) -> None: ...
    async def get_pod_manifest(self) -> Untyped: ...
    def get_pvc_manifest(self) -> object: ...
    def is_pod_running(self, pod: JsonObject | None) -> bool: ...
    def _get_pod_url(self, pod: JsonObject) -> str: ...
    def _sorted_dict_values(self, src: object) -> object: ...
    def _render_options_form(self, profile_list: Sequence[JsonObject]) -> str: ...
    async def _make_create_pvc_request(self, pvc: object, request_timeout: float) -> bool: ...

class _Handler:
    current_user: Untyped
    authenticator: Untyped
    log: Log

    def find_user(self, name: str) -> Untyped: ...
    def redirect(self, url: str) -> None: ...
    def set_status(self, status_code: int) -> None: ...
    def set_header(self, name: str, value: str) -> None: ...
    def write(self, chunk: str) -> None: ...
    def get_token(self) -> Untyped: ...
    async def auth_to_user(self, authenticated: Mapping[str, object], user: object = None) -> Untyped: ...
    async def stop_single_user(self, user: object, server_name: str = "") -> asyncio.Future[None]: ...

class APIHandler(_Handler): ...

class SpawnHandler(_Handler):
    def get_next_url(self, user: object, default: str) -> str: ...
    def _get_pending_url(self, user: object, server_name: str) -> str: ...
    async def _post(self, user_name: str, server_name: str) -> None: ...
    async def _wrap_spawn_single_user(
        self, user: object, server_name: str, spawner: KubeSpawner, pending_url: str, options: object = None
    ) -> None: ...

class HTTPError(Exception):
    def __init__(self, status_code: int, log_message: str = "") -> None: ...

def shared_client(kind: str) -> Untyped: ...
def needs_scope(*scopes: str) -> Callable[[_Method], _Method]: ...
