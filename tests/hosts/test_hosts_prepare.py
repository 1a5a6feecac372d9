"""Bare Debian hosts are prepared by the very texts the program feeds them: once, again, cut off, undone."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

import pytest
from bed import Bed, Host
from bed_bundle import Bundle
from bed_programs import next_kubernetes_version
from preparation import KUBELET, STEPS, Preparation, prepare

from components.pins import Architecture

TREE = """cd /; find etc opt usr/local var/lib/research-compute -xdev \\( -type f -printf '%p %m %u %s %T@\\n' \\) \
-o \\( ! -type f -printf '%p %m %u %l\\n' \\) | sort"""
"""Every file, link and folder a step may touch."""


@pytest.fixture(scope="module")
def made(
    make_bed: Callable[[int], Bed], bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Preparation]:
    """Two bare hosts and a mirror with all they need."""
    with prepare(make_bed(2), bundle, tmp_path_factory.mktemp("bundle") / "bundle") as preparation:
        yield preparation


@pytest.fixture
def host(made: Preparation) -> Host:
    """The first host, prepared."""
    first = made.bed.hosts[0]
    made.all(first)
    return first


def differences(made: Preparation, host: Host) -> dict[str, tuple[str, ...]]:
    return {name: changes for name, changes in made.all(host, "check").items() if changes}


def test_a_bare_host_is_prepared(made: Preparation) -> None:
    host = made.bed.hosts[0]
    own_sources = host.console("cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null; true")
    before = host.console(TREE)
    foreseen = made.run(host, "system", "check").changed
    assert host.console(TREE) == before
    done = made.all(host)
    assert set(foreseen) - {"service chrony.service", "enabled chrony.service"} <= set(done["system"])
    assert made.all(host) == dict.fromkeys(STEPS, ())
    assert differences(made, host) == {}
    assert host.console("hostname").strip() == host.name
    assert f"{host.address} {host.name} # research-compute" in host.console("cat /etc/hosts")
    assert host.run("sudo -n true && echo fine").strip() == "fine"
    assert host.console("sysctl -n net.ipv4.ip_forward fs.inotify.max_user_instances").split() == ["1", "8192"]
    assert host.console("cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null; true") == own_sources
    assert host.console("systemctl is-active containerd chrony").split() == ["active", "active"]
    assert host.console("systemctl is-enabled kubelet containerd").split() == ["enabled", "enabled"]
    assert host.console("systemctl show -P LimitNOFILESoft containerd").strip() == "65536"
    version = made.settings.pins.kubernetes
    assert host.console("kubelet --version").strip() == f"Kubernetes {version}"
    assert made.settings.pins.host_file("containerd").version in host.console("containerd --version")
    images = host.console("ctr -n k8s.io images list -q").split()
    assert set(made.settings.pins.kubernetes_images.values()) <= set(images)
    dumped = host.console("containerd config dump 2>/dev/null")
    assert "SystemdCgroup = true" in dumped
    assert made.settings.pins.kubernetes_images["pause"] in dumped


def test_a_worker_has_no_etcd_and_only_its_images(made: Preparation) -> None:
    worker = made.bed.hosts[1]
    made.all(worker)
    assert host_has(worker, "etcdctl") == "no"
    images = {image for image in worker.console("ctr -n k8s.io images list -q").split() if image.startswith("registry")}
    pinned = made.settings.pins.kubernetes_images
    assert images == {pinned[name] for name in ("coredns", "kube-proxy", "pause")}


def host_has(host: Host, program: str) -> str:
    return host.console(f"command -v {program} >/dev/null && echo yes || echo no").strip()


CHANGES: dict[str, object] = {
    "system": {"sysctls": {"net.ipv4.tcp_keepalive_time": "601"}, "timeServers": ["192.0.2.1"]},
    "runtime": {"registryMirrors": {"quay.io": ["https://mirror.example.org"]}},
    "kubelet": {"settings": {**KUBELET, "maxPods": 99}},
}
CHANGED = {
    "system": (
        "file /etc/chrony/chrony.conf",
        "service chrony.service",
        "file /etc/sysctl.d/90-research-compute.conf",
        "sysctl net.ipv4.tcp_keepalive_time",
    ),
    "runtime": ("file /etc/containerd/certs.d/quay.io/hosts.toml",),
    "kubernetes": ("file /etc/kubernetes/kubelet.conf.d/90-research-compute.conf",),
}
"""Exactly what those values bring about; nothing is restarted that does not read them."""


def test_changed_values_change_just_what_follows_from_them(made: Preparation, host: Host) -> None:
    config = made.config(**CHANGES)
    assert made.all(host, "check", config) == CHANGED
    assert made.all(host, "apply", config) == CHANGED
    assert made.all(host, "check", config) == dict.fromkeys(STEPS, ())
    assert "server 192.0.2.1 iburst" in host.console("cat /etc/chrony/chrony.conf")
    back = made.all(host)
    assert "original /etc/chrony/chrony.conf" in back["system"]
    assert "absent /etc/containerd/certs.d/quay.io/hosts.toml" in back["runtime"]
    assert "192.0.2.1" not in host.console("cat /etc/chrony/chrony.conf")


DAMAGE = """
echo x >>/etc/sysctl.d/90-research-compute.conf
sysctl -qw net.ipv4.ip_forward=0
systemctl stop chrony
dpkg --purge --force-depends ethtool
chmod 600 /etc/containerd/config.toml
echo >>/opt/research-compute/containerd/current/bin/ctr
ln -sfn /bin/true /usr/local/sbin/runc
echo >>"$(readlink /usr/local/bin/kubectl)"
"""
DAMAGED = {
    "system": {
        "package ethtool",
        "service chrony.service",
        "file /etc/sysctl.d/90-research-compute.conf",
        "sysctl net.ipv4.ip_forward",
    },
    "runtime": {"link /usr/local/sbin/runc", "program containerd VERSION", "file /etc/containerd/config.toml"},
    "kubernetes": {"file /opt/research-compute/kubernetes/KUBERNETES/kubectl", "image COREDNS"},
}


def test_damage_is_seen_and_mended(made: Preparation, host: Host) -> None:
    pins = made.settings.pins
    coredns = pins.kubernetes_images["coredns"]
    host.console(f"ctr -n k8s.io images rm {coredns}\n{DAMAGE}")
    words = {
        "VERSION": pins.host_file("containerd").version,
        "KUBERNETES": pins.kubernetes,
        "COREDNS": coredns,
    }
    expected = {
        step: {next((item.replace(word, words[word]) for word in words if word in item), item) for item in items}
        for step, items in DAMAGED.items()
    }
    # A file that is whole but for its rights makes containerd's restart due, too.
    expected["runtime"].add("service containerd.service")
    found = made.all(host, "check")
    assert {step: set(items) for step, items in found.items()} == expected
    done = made.all(host)
    assert all(expected[step] <= set(done[step]) for step in STEPS), done
    assert differences(made, host) == {}


def test_containers_live_while_their_runtime_changes(made: Preparation, host: Host) -> None:
    pause = made.settings.pins.kubernetes_images["pause"]
    host.console(f"ctr -n k8s.io run -d --snapshotter overlayfs {pause} steady")
    try:
        process = host.console("ctr -n k8s.io tasks list | awk '$1 == \"steady\" { print $2 }'").strip()
        assert process
        before = host.console("systemctl show -P MainPID containerd").strip()
        pins = made.settings.pins
        containerd = pins.host_file("containerd")
        other = containerd.model_copy(update={"version": "2.3.99", "url": containerd.address(Architecture.AMD64)})
        settings = replace(
            made.settings, pins=pins.model_copy(update={"host_files": {**pins.host_files, "containerd": other}})
        )
        newer = made.of_version(settings)
        done = newer.run(host, "runtime").changed
        assert "program containerd 2.3.99" in done
        assert "service containerd.service" in done
        assert host.console("systemctl show -P MainPID containerd").strip() != before
        tasks = host.console("ctr -n k8s.io tasks list")
        assert ["steady", process, "RUNNING"] in [line.split() for line in tasks.splitlines()]
        # Its shim is the older version's, so that stays until the container ends.
        assert len(host.console("ls /opt/research-compute/containerd").split()) == 3
    finally:
        host.console("ctr -n k8s.io tasks kill -s KILL steady; sleep 1", check=False)
        host.console("ctr -n k8s.io containers rm steady", check=False)
        made.run(host, "runtime")
    assert len(host.console("ls /opt/research-compute/containerd").split()) == 2


def test_a_member_keeps_its_version_beside_the_new_one(made: Preparation, host: Host, bundle: Bundle) -> None:
    version = f"v{next_kubernetes_version()}"
    newer = made.of_version(replace(made.settings, pins=bundle.put_into(made.settings.pins, version)))
    now = made.settings.pins.kubernetes
    host.console("touch /etc/kubernetes/kubelet.conf")
    try:
        # As a member the kubelet has to run; without a configuration it cannot, which is not looked at here.
        host.console(
            "mkdir -p /run/systemd/system/kubelet.service.d && printf '[Unit]\\nConditionPathExists=\\n"
            "[Service]\\nExecStart=\\nExecStart=/bin/sleep infinity\\n' "
            ">/run/systemd/system/kubelet.service.d/99-test.conf && systemctl daemon-reload"
        )
        assert newer.run(host, "kubernetes").code == 0
        assert host.console("kubelet --version").strip() == f"Kubernetes {now}"
        assert host.console(f"/opt/research-compute/kubernetes/{version}/kubelet --version").strip().endswith(version)
        assert newer.run(host, "kubernetes", "check").changed == ()
    finally:
        host.console(
            "rm -rf /etc/kubernetes/kubelet.conf /run/systemd/system/kubelet.service.d/99-test.conf; "
            "systemctl daemon-reload; systemctl stop kubelet"
        )
    assert "link /usr/local/bin/kubelet" in newer.run(host, "kubernetes").changed
    assert host.console("kubelet --version").strip().endswith(version)
    assert host.console("ls /opt/research-compute/kubernetes").split() == [version]
