"""What our spawner uses of JupyterHub and KubeSpawner is there in the installed ones."""

from __future__ import annotations

import ast
import inspect
import textwrap
from pathlib import Path

import pytest

from components.hub.files import lab_hub

kubespawner_module = pytest.importorskip("kubespawner.spawner", reason="requirements-dev.txt")
upstream = pytest.importorskip("components.hub.files.lab_hub.upstream", reason="requirements-dev.txt")
STUB = Path(lab_hub.__file__).with_name("upstream.pyi")
OURS = {"lab_giving_up"}
MADE_LATER = {
    "api",
    "field_selector",
    "label_selector",
    "pod_id",
    "pod_name",
    "pvc_name",
    "_pvc_exists",
    "_start_future",
}
"""Set on the object and not on its class; each is written in the class's own source."""


def declared() -> list[tuple[str, str]]:
    classes = [node for node in ast.parse(STUB.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    found: list[tuple[str, str]] = []
    for each in classes:
        if not hasattr(upstream, each.name):
            continue
        for node in each.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append((each.name, node.name))
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.append((each.name, node.target.id))
    return found


@pytest.mark.parametrize(("owner", "name"), [each for each in declared() if each[1] not in OURS])
def test_the_name_is_there(owner: str, name: str) -> None:
    kind = getattr(upstream, owner)
    if hasattr(kind, name):
        return
    assert name in MADE_LATER
    sources = "".join(inspect.getsource(base) for base in kind.__mro__ if base is not object)
    assert f"self.{name}" in sources or f".{name} =" in sources


def test_there_is_something_to_look_for() -> None:
    assert ("KubeSpawner", "_make_create_pvc_request") in declared()


def test_a_start_still_goes_as_ours_replaces_it() -> None:
    """KubeSpawner's own start calls what ours calls: a new step in it would be missing in ours."""
    source = inspect.getsource(kubespawner_module.KubeSpawner._start)
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(textwrap.dedent(source)))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "self"
    }
    assert called == {
        "load_user_options",
        "_ensure_namespace",
        "_start_watching_pods",
        "_start_watching_events",
        "_expand_user_properties",
        "_check_pvc_exists",
        "get_pvc_manifest",
        "get_pod_manifest",
        "modify_pod_hook",
        "pod_has_uid",
        "get_secret_manifest",
        "get_service_manifest",
        "_get_pod_port",
        "after_pod_created_hook",
        "stop",
        "is_pod_running",
        "_get_pod_url",
    }
