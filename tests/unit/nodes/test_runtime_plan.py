"""containerd's configuration and registries."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
from preparation_samples import cluster, lab

from components.errors import MissingPinError
from components.nodes.runtime_plan import containerd_configuration, registry_hosts, runtime_steps

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def test_every_node_has_the_step_and_storage_has_not() -> None:
    steps = runtime_steps(lab(), cluster())
    assert [(step.host, step.libraries, step.after) for step in steps] == [
        (name, ("programs",), (("system", name),)) for name in ("cp-1", "gpu-1")
    ]
    assert steps[0].values == steps[1].values


def test_files_by_architecture() -> None:
    step = runtime_steps(lab(), cluster())[0]
    assert step.values["CONTAINERD_VERSION"] == "2.3.4"
    assert step.values["CONTAINERD"] == (
        f"amd64 {'3a' * 32} https://example.org/containerd/2.3.4/containerd-amd64.tgz",
        f"arm64 {'3b' * 32} https://example.org/containerd/2.3.4/containerd-arm64.tgz",
    )


def test_missing_pin_is_named() -> None:
    settings = cluster()
    without = {name: pin for name, pin in settings.pins.host_files.items() if name != "runc"}
    bare = settings.pins.model_copy(update={"host_files": without})
    with pytest.raises(MissingPinError, match="runc"):
        runtime_steps(lab(), replace(settings, pins=bare))


@pytest.mark.parametrize(
    ("containerd", "version"), [("2.0.0", 3), ("2.2.9", 3), ("2.3.0", 4), ("2.3.4", 4), ("v2.10.1", 4), ("3.0.0", 4)]
)
def test_version_of_the_configuration_is_the_highest_containerd_knows(containerd: str, version: int) -> None:
    assert tomllib.loads(containerd_configuration(cluster(containerd)))["version"] == version


def test_configuration() -> None:
    read = tomllib.loads(containerd_configuration(cluster()))
    images, runtime = (read["plugins"][f"io.containerd.cri.v1.{part}"] for part in ("images", "runtime"))
    assert read["imports"] == ["/etc/containerd/conf.d/*.toml"]
    assert images["pinned_images"] == {"sandbox": "registry.k8s.io/pause:v1"}
    assert images["registry"] == {"config_path": "/etc/containerd/certs.d"}
    assert runtime["cni"] == {"bin_dirs": ["/opt/cni/bin"], "conf_dir": "/etc/cni/net.d"}
    runc = runtime["containerd"]["runtimes"]["runc"]
    assert runc == {
        "runtime_type": "io.containerd.runc.v2",
        "options": {"BinaryName": "/usr/local/sbin/runc", "SystemdCgroup": True},
    }


def test_registries_are_asked_themselves_without_a_mirror() -> None:
    assert registry_hosts(lab()) == {}


def test_mirrors_are_asked_in_order_then_the_registry() -> None:
    mirrors = {"docker.io": ["https://a.lab.org", "http://b.lab.org:5000"], "quay.io": ["https://a.lab.org"]}
    found = registry_hosts(lab(runtime={"registryMirrors": mirrors}))
    hub = tomllib.loads(found["docker.io"])
    assert hub["server"] == "https://registry-1.docker.io"
    assert list(hub["host"]) == ["https://a.lab.org", "http://b.lab.org:5000"]
    assert all(mirror == {"capabilities": ["pull", "resolve"]} for mirror in hub["host"].values())
    assert tomllib.loads(found["quay.io"])["server"] == "https://quay.io"
    assert list(found) == ["docker.io", "quay.io"]


def test_with_a_bundle_no_public_registry_is_asked() -> None:
    found = registry_hosts(
        lab(mirror={"url": "http://10.0.0.1:8000/"}, runtime={"registryMirrors": {"docker.io": ["https://a.lab.org"]}})
    )
    assert list(found) == ["docker.io", "_default"]
    for text in found.values():
        assert tomllib.loads(text)["server"] == "http://10.0.0.1:8000"
        assert tomllib.loads(text)["capabilities"] == ["pull", "resolve"]


def test_certificates_are_for_https_alone() -> None:
    config = lab(
        mirror={"url": "https://mirror.lab.org", "certificateAuthority": CA},
        runtime={"registryMirrors": {"quay.io": ["http://plain.lab.org"]}, "certificateAuthority": CA},
    )
    read = tomllib.loads(registry_hosts(config)["quay.io"])
    assert read["ca"] == "/etc/containerd/research-compute-ca.pem"
    assert "ca" not in read["host"]["http://plain.lab.org"]
    step = runtime_steps(config, cluster())[0]
    assert step.values["REGISTRY_CA"] == CA.rstrip("\n")
    assert step.values["MIRROR_CA"] == CA
    assert runtime_steps(lab(), cluster())[0].values["REGISTRY_CA"] is None
