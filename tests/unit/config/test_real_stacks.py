"""The four stacks, their pins and their environments."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from components.errors import MissingPinError
from components.nodes.config import Role
from components.nodes.plan import members
from stacks.environments import ENVIRONMENTS, Change, EnvironmentName, environment_of, promoted_from
from stacks.errors import PinFileError, UnknownEnvironmentError
from stacks.loading import load_cluster, load_stack_file, stack_file_path
from stacks.pins import load_pins, parse_pins, pin_file
from stacks.project import PROJECT
from stacks.reading import read_yaml
from stacks.secrets import used_secrets

if TYPE_CHECKING:
    from pathlib import Path

    from stacks.config import ClusterConfig

CHARTS = ("tigera-operator", "metallb", "gateway-helm", "cert-manager", "csi-driver-nfs", "gpu-operator", "jupyterhub")


def cluster_of(stack: str) -> ClusterConfig:
    return load_cluster(load_stack_file(stack_file_path(stack)))


def test_it_validates(stack_name: str) -> None:
    config = cluster_of(stack_name)
    assert config.network is not None
    assert config.storage is not None
    assert config.gpu is not None
    assert config.hub is not None


def test_editors_find_the_schema(root: Path, stack_name: str) -> None:
    first = (root / f"Pulumi.{stack_name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=stacks/schema.json"


def test_there_is_a_stack_per_environment(root: Path) -> None:
    stacks = {path.name.split(".")[1] for path in root.glob("Pulumi.*.yaml")}
    assert stacks == {str(name) for name in EnvironmentName}


def test_the_project_file_is_what_the_official_cli_takes(root: Path) -> None:
    project = read_yaml((root / "Pulumi.yaml").read_text(encoding="utf-8")).value
    description = "The cluster this stack describes; stacks/schema.json is its schema."
    assert project == {
        "name": PROJECT,
        "description": "A lab's own machines as a research-compute cluster.",
        "runtime": {"name": "python", "options": {"virtualenv": ".venv"}},
        "config": {"cluster": {"type": "object", "description": description}},
    }


def test_the_program_is_fifteen_statements_at_most(root: Path) -> None:
    lines = (root / "__main__.py").read_text(encoding="utf-8").splitlines()
    statements = [line for line in lines if line and not line.startswith(("#", '"', " ", ")"))]
    assert len(statements) <= 15


def test_only_dev_is_simulated_and_signs_in_without_a_password(stack_name: str) -> None:
    config = cluster_of(stack_name)
    assert config.nodes.simulated == (stack_name == "dev")
    assert bool(used_secrets(config)) == (stack_name != "dev")


@pytest.mark.parametrize("stack", ["test", "next", "prod"])
def test_bare_metal_stacks_have_three_control_plane_hosts_storage_workers_and_gpus(stack: str) -> None:
    hosts = cluster_of(stack).nodes.hosts.values()
    assert sum(Role.CONTROL_PLANE in host.roles for host in hosts) == 3
    assert any(Role.STORAGE in host.roles for host in hosts)
    assert any(Role.WORKER in host.roles and host.gpus is None for host in hosts)
    assert all(host.gpus.count == 2 and host.gpus.model == "A100-80GB-PCIe" for host in hosts if host.gpus is not None)


def test_stacks_share_no_name_domain_or_address() -> None:
    clusters = [cluster_of(str(name)) for name in EnvironmentName]
    assert len({config.name for config in clusters}) == len(clusters)
    assert len({config.domain for config in clusters}) == len(clusters)
    addresses = [host.address for config in clusters for host in members(config.nodes).values()]
    assert len(set(addresses)) == len(addresses)


def test_pins_load(environment: EnvironmentName) -> None:
    pins = load_pins(environment)
    assert all(pins.chart(name).version for name in CHARTS)
    assert all("sha256:" in str(pin.image) and pin.source for pin in pins.images.values())
    assert pin_file(environment).name == f"{environment}.yaml"


def test_a_missing_pin_is_named() -> None:
    with pytest.raises(MissingPinError, match="no chart 'traefik' among the pins"):
        load_pins(EnvironmentName.DEV).chart("traefik")
    with pytest.raises(MissingPinError, match="no image 'rstudio'"):
        load_pins(EnvironmentName.DEV).image("rstudio")


def test_a_mirror_redirects_every_chart() -> None:
    pins = load_pins(EnvironmentName.PROD)
    mirrored = pins.from_mirror("oci://registry.lab.example.org/charts")
    assert {pin.repository for pin in mirrored.charts.values()} == {"oci://registry.lab.example.org/charts"}
    assert {name: pin.version for name, pin in mirrored.charts.items()} == {
        name: pin.version for name, pin in pins.charts.items()
    }
    assert pins.from_mirror(None) is pins


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("kubernetes: v1.36.3", "kubernetes: 1.36"), "a text is wanted here, not 1.36"),
        (("kubernetes: v1.36.3", "kubernetes: latest"), "'latest' is not one exact version"),
        (("version: v1.21.2", "version: ^1.21.2"), "is not one exact version"),
        (("version: v1.21.2", "version: 1.x"), "is not one exact version"),
        (("hostFiles", "hostFile"), "there is no key 'hostFile'"),
        (("    source: ", "    sauce: "), "the key source is missing"),
        (("@sha256:", "@sha512:"), "is not an image with registry and digest"),
        (("charts:", "charts: ["), "not YAML"),
    ],
)
def test_wrong_pins(change: tuple[str, str], what: str) -> None:
    text = pin_file(EnvironmentName.DEV).read_text(encoding="utf-8")
    assert change[0] in text
    with pytest.raises(PinFileError) as caught:
        parse_pins(text.replace(*change), file="dev.yaml")
    assert what in str(caught.value)


def test_environments_belong_to_stacks_by_name() -> None:
    assert environment_of("prod") is ENVIRONMENTS[EnvironmentName.PROD]
    assert environment_of("prod-lund").name is EnvironmentName.PROD
    with pytest.raises(UnknownEnvironmentError, match="name it after one"):
        environment_of("production")


def test_what_environments_protect() -> None:
    assert [str(name) for name, found in ENVIRONMENTS.items() if found.protects_data] == ["test", "prod"]
    assert [str(name) for name, found in ENVIRONMENTS.items() if found.destroyable] == ["dev", "next"]


def test_promotion() -> None:
    assert promoted_from(EnvironmentName.PROD, Change.MINOR) is EnvironmentName.TEST
    assert promoted_from(EnvironmentName.TEST, Change.MINOR) is None
    assert promoted_from(EnvironmentName.TEST, Change.MAJOR) is EnvironmentName.NEXT
    assert promoted_from(EnvironmentName.NEXT, Change.MAJOR) is None
    assert promoted_from(EnvironmentName.DEV, Change.MAJOR) is None


@pytest.mark.parametrize(
    ("program", "needless"),
    [
        # The client of the command below takes time to load that a preview has no use for.
        ("stacks.cluster, stacks.config, stacks.environments, stacks.pins", ("lightkube",)),
        ("components.gpu.reslice.__main__", ()),
    ],
)
def test_what_the_official_engine_runs_imports_neither_labctl_nor_what_only_labctl_needs(
    root: Path, program: str, needless: tuple[str, ...]
) -> None:
    """It has to run under the official CLI with requirements.txt alone, and start fast."""
    names = ("labctl", "ruamel", "jsonschema", "typer", "rich", *needless)
    check = f"import sys; import {program}; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], cwd=root, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
