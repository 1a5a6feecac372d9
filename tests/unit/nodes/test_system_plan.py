"""What the operating system of each host is brought to."""

from __future__ import annotations

import shutil
import subprocess
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from preparation_samples import KEY, cluster, lab

from components.nodes.firewall_plan import firewall_rules, ssh_networks
from components.nodes.system_plan import host_packages, host_sysctls, system_packages, system_steps

if TYPE_CHECKING:
    from components.addresses import AnyNetwork
    from components.nodes.steps import ScriptValue

FIREWALL = {"ssh": ["192.0.2.0/24"], "apiServer": ["198.51.100.0/24"], "published": ["203.0.113.0/24", "0.0.0.0/0"]}


def values(host: str, **changes: object) -> dict[str, ScriptValue]:
    steps = system_steps(lab(**changes), cluster())
    return dict(next(step for step in steps if step.host == host).values)


def test_every_host_that_is_there_has_the_step_alone() -> None:
    steps = system_steps(lab(), cluster())
    assert [(step.name, step.subject, step.host, step.after) for step in steps] == [
        ("system", name, name, ()) for name in ("cp-1", "gpu-1", "nas-1")
    ]


def test_order_of_the_file_changes_nothing() -> None:
    config = lab()
    turned = config.model_copy(update={"hosts": dict(reversed(config.hosts.items()))})
    assert system_steps(turned, cluster()) == system_steps(config, cluster())


def test_another_host_changes_nothing_on_the_others_but_who_may_mount() -> None:
    config = lab(system={"firewall": FIREWALL})
    new = config.hosts["gpu-1"].model_copy(update={"address": ip_address("10.0.0.9")})
    grown = system_steps(config.model_copy(update={"hosts": {**config.hosts, "new-1": new}}), cluster())
    before = {step.host: step for step in system_steps(config, cluster())}
    after = {step.host: step for step in grown if step.host != "new-1"}
    assert {host for host, step in after.items() if step != before[host]} == {"nas-1"}
    changed = {key for key, value in after["nas-1"].values.items() if value != before["nas-1"].values[key]}
    assert changed == {"FIREWALL"}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (
            "cp-1",
            {
                "net.bridge.bridge-nf-call-ip6tables": "1",
                "net.bridge.bridge-nf-call-iptables": "1",
                "net.ipv4.ip_forward": "1",
                "fs.inotify.max_user_instances": "8192",
                "fs.inotify.max_user_watches": "1048576",
            },
        ),
        ("nas-1", {"fs.inotify.max_user_instances": "8192", "fs.inotify.max_user_watches": "1048576"}),
    ],
)
def test_kernel_parameters(host: str, expected: dict[str, str]) -> None:
    config = lab()
    assert host_sysctls(config, config.hosts[host], cluster()) == expected


def test_kernel_parameters_of_the_lab_are_laid_over_ours() -> None:
    config = lab(system={"sysctls": {"net.ipv4.ip_forward": "0", "net.ipv4.tcp_rmem": " 4096\t87380  6291456 "}})
    found = host_sysctls(config, config.hosts["cp-1"], cluster())
    assert found["net.ipv4.ip_forward"] == "0"
    assert found["net.ipv4.tcp_rmem"] == "4096 87380 6291456"
    step = system_steps(config, cluster())[0]
    assert step.values["SYSCTLS"] == tuple(f"{key}={value}" for key, value in found.items())
    assert step.values["SYSCTL_CONF"] == "\n".join(f"{key} = {value}" for key, value in found.items())


def test_pods_with_ipv6_addresses_are_forwarded() -> None:
    config = lab()
    found = host_sysctls(config, config.hosts["cp-1"], cluster(pods="fd00::/48"))
    assert found["net.ipv6.conf.all.forwarding"] == "1"


def test_what_differs_by_role() -> None:
    assert values("cp-1")["MODULES"] == ("overlay", "br_netfilter")
    assert values("nas-1")["MODULES"] == ()
    assert (values("cp-1")["HAS_GPU"], values("gpu-1")["HAS_GPU"]) == (False, True)
    assert (values("cp-1")["SYSTEM_RAID"], values("gpu-1")["SYSTEM_RAID"]) == ("", "raid1")


@pytest.mark.parametrize(("fails", "tolerates"), [(None, False), (True, False), (False, True)])
def test_swap_is_left_where_the_kubelet_tolerates_it(fails: bool | None, tolerates: bool) -> None:  # noqa: FBT001
    settings = {} if fails is None else {"failSwapOn": fails}
    assert values("cp-1", kubelet={"settings": settings})["TOLERATES_SWAP"] is tolerates
    assert values("nas-1", kubelet={"settings": settings})["TOLERATES_SWAP"] is True


def test_time_servers() -> None:
    assert values("cp-1")["TIME_CONF"] is None
    text = str(values("cp-1", system={"timeServers": ["ntp.lab.org", "192.0.2.1"]})["TIME_CONF"])
    assert text.startswith("server ntp.lab.org iburst\nserver 192.0.2.1 iburst\n")
    assert "pool" not in text


def test_security_updates() -> None:
    automatic, manual = values("cp-1"), values("cp-1", system={"securityUpdates": "manual"})
    text = str(automatic["APT_CONF"])
    assert 'APT::Periodic::Unattended-Upgrade "1";' in text
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in text
    for name in ("containerd", "kubelet", "nvidia", "libnvidia", "containerd[.]io"):
        assert f'"^{name}";' in text
    assert 'APT::Periodic::Unattended-Upgrade "0";' in str(manual["APT_CONF"])
    assert (automatic["AUTOMATIC_UPDATES"], manual["AUTOMATIC_UPDATES"]) == (True, False)


@pytest.mark.skipif(shutil.which("apt-config") is None, reason="needs apt-config")
def test_apt_reads_what_is_written(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("apt") / "conf"
    file.write_text(
        'Unattended-Upgrade::Allowed-Origins { "everything"; };\n' + str(values("cp-1")["APT_CONF"]), encoding="utf-8"
    )
    read = subprocess.run(["apt-config", "-c", file, "dump"], capture_output=True, text=True, check=True).stdout  # noqa: S607
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in read
    assert 'Unattended-Upgrade::Package-Blacklist:: "^nvidia";' in read
    assert "everything" not in read


def test_archives_never_bring_what_is_pinned() -> None:
    text = str(values("cp-1")["APT_PREFERENCES"])
    assert "Package: containerd containerd.io docker-ce docker.io kubeadm kubectl kubelet\n" in text
    assert text.endswith("Pin: release *\nPin-Priority: -1")


@pytest.mark.parametrize(
    ("host", "has_host_driver", "expected"),
    [("gpu-1", True, ("nvidia-driver-580-server=580.95.05-0ubuntu1",)), ("gpu-1", False, ()), ("cp-1", True, ())],
)
def test_driver_of_a_host(host: str, has_host_driver: bool, expected: tuple[str, ...]) -> None:  # noqa: FBT001
    config = lab(system={"nvidiaDriver": {"nvidia-driver-580-server": "580.95.05-0ubuntu1"}})
    steps = system_steps(config, cluster(has_host_driver=has_host_driver))
    assert next(step for step in steps if step.host == host).values["DRIVER_PACKAGES"] == expected


def test_packages() -> None:
    config = lab()
    assert "mdadm" in system_packages(config, config.hosts["gpu-1"])
    assert "mdadm" not in system_packages(config, config.hosts["cp-1"])
    names = host_packages(config)
    assert list(names) == sorted(set(names))
    assert {"curl", "chrony", "mdadm", "unattended-upgrades"} <= set(names)
    assert not {"keepalived", "haproxy", "restic"} & set(names)
    assert "unattended-upgrades" not in host_packages(lab(system={"securityUpdates": "manual"}))
    more = lab(
        endpoint={"address": "10.0.0.100"},
        controlPlane={"backup": {"repository": "/backup", "password": {"secret": "backupPassword"}}},
        system={"nvidiaDriver": {"nvidia-driver-580-server": "580.95.05-0ubuntu1"}},
    )
    assert {"keepalived", "haproxy", "restic", "nvidia-driver-580-server"} <= set(host_packages(more))


def test_mirror() -> None:
    assert "MIRROR_URL" not in values("cp-1")
    key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
    found = values("cp-1", mirror={"url": "http://10.0.0.1:8000/", "aptKey": key})
    assert (found["MIRROR_URL"], found["MIRROR_APT_KEY"]) == ("http://10.0.0.1:8000", key)


# --- firewall


def rules(host: str = "cp-1", **changes: object) -> str:
    config = lab(**{"system": {"firewall": FIREWALL}, **changes})
    found = firewall_rules(config, config.hosts[host], cluster())
    assert found is not None
    return found


def test_no_firewall_unless_wanted() -> None:
    config = lab()
    assert firewall_rules(config, config.hosts["cp-1"], cluster()) is None
    assert values("cp-1")["FIREWALL"] is None


def test_firewall_replaces_its_own_table_in_one_transaction_and_names_no_other() -> None:
    lines = rules().splitlines()
    assert lines[:3] == [
        "table inet research_compute",
        "delete table inet research_compute",
        "table inet research_compute {",
    ]
    assert "flush" not in rules()
    assert {line for line in lines if line.startswith(("table", "delete"))} == set(lines[:3])


def test_firewall_accepts_what_it_should() -> None:
    text = rules()
    assert "ip saddr { 192.0.2.0/24 } tcp dport 22 accept" in text
    assert "ip saddr { 10.0.0.0/24, 10.244.0.0/16, 198.51.100.0/24 } tcp dport { 6443 } accept" in text
    # One of the networks is all of IPv4, so no set of sources is needed.
    assert "meta nfproto ipv4 tcp dport { 80, 443 } accept" in text
    assert text.index("policy drop") < text.index("ct state established,related accept") < text.index("tcp dport 22")


def test_firewall_knows_ports_that_are_not_the_usual() -> None:
    assert "tcp dport { 443, 6443 }" in rules(endpoint={"address": "10.0.0.100", "port": 443})
    assert "tcp dport 2222 accept" in rules(ssh={"port": 2222})


def test_firewall_lets_the_jump_host_in_where_its_address_is_known() -> None:
    jump = {"user": "hop", "hostKey": KEY}
    assert "ip saddr { 192.0.2.0/24, 203.0.113.9/32 } tcp dport 22" in rules(
        ssh={"jump": {**jump, "address": "203.0.113.9"}}
    )
    assert "ip saddr { 192.0.2.0/24 } tcp dport 22" in rules(ssh={"jump": {**jump, "address": "hop.lab.org"}})


@given(
    st.lists(
        st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).flatmap(
            lambda address: st.integers(0, address.max_prefixlen).map(
                lambda length: ip_network(f"{address}/{length}", strict=False)
            )
        ),
        min_size=1,
        max_size=8,
    )
)
def test_networks_of_a_set_never_overlap(networks: list[AnyNetwork]) -> None:
    config = lab(system={"firewall": {**FIREWALL, "ssh": [str(network) for network in networks]}})
    shown = [
        ip_network(text) for family in ssh_networks(config, config.hosts["cp-1"]) for text in family.split(", ") if text
    ]
    for index, one in enumerate(shown):
        assert not any(one.version == other.version and one.overlaps(other) for other in shown[index + 1 :])
    for network in networks:
        assert any(network.version == one.version and network.subnet_of(one) for one in shown)  # pyright: ignore[reportArgumentType] - of one version


def test_kernel_reads_the_rules() -> None:
    nft = shutil.which("nft")
    if nft is None:
        pytest.skip("needs nft")
    checked = subprocess.run(
        ["unshare", "--net", "--map-root-user", nft, "--check", "--file", "-"],  # noqa: S607
        input=rules(),
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in checked.stderr:
        pytest.skip("needs a network namespace of its own")
    assert checked.returncode == 0, checked.stderr


def test_settings_of_a_cluster_without_a_firewall_leave_no_networks() -> None:
    assert values("cp-1")["SSH_NETWORKS4"] == ""
    assert values("cp-1", system={"firewall": FIREWALL})["SSH_NETWORKS4"] == "192.0.2.0/24"


def test_storage_hosts_let_one_another_in() -> None:
    config = lab(system={"firewall": FIREWALL})
    second = config.hosts["nas-1"].model_copy(update={"address": ip_address("10.0.0.5")})
    config = config.model_copy(update={"hosts": {**config.hosts, "nas-2": second}})
    assert ssh_networks(config, config.hosts["nas-1"]) == ("10.0.0.5/32, 192.0.2.0/24", "")
    assert ssh_networks(config, config.hosts["cp-1"]) == ("192.0.2.0/24", "")
