"""Ports: chosen free once, kept with the data, replaced only when somebody else took them."""

import json
import os
import socket
from pathlib import Path

import pytest

from labctl.control_plane.errors import DamagedDataError, NoFreePortError
from labctl.control_plane.ports import (
    FIRST_PORT,
    LAST_PORT,
    PortUse,
    choose_ports,
    is_free,
    keep_ports,
    port_holder,
    read_ports,
)
from labctl.control_plane.progress import silent

NOBODY: dict[PortUse, int] = {}


def all_free(_port: int) -> bool:
    return True


def test_ports_are_distinct_and_in_range() -> None:
    ports = choose_ports(PortUse, avoid=[], free=all_free)
    assert set(ports) == set(PortUse)
    assert len(set(ports.values())) == len(PortUse)
    assert all(FIRST_PORT <= port <= LAST_PORT for port in ports.values())


def test_ports_in_use_and_ports_to_avoid_are_not_chosen() -> None:
    free = {FIRST_PORT + 3, FIRST_PORT + 5}
    ports = choose_ports([PortUse.KWOK], avoid=[FIRST_PORT + 3], free=free.__contains__)
    assert ports == {PortUse.KWOK: FIRST_PORT + 5}


def test_a_full_range_says_so() -> None:
    with pytest.raises(NoFreePortError, match=f"between {FIRST_PORT} and {LAST_PORT}"):
        choose_ports([PortUse.KWOK], avoid=[], free=lambda _port: False)


def test_two_control_planes_at_the_same_moment_try_different_ports() -> None:
    choices = {frozenset(choose_ports(PortUse, avoid=[], free=all_free).values()) for _ in range(5)}
    assert len(choices) > 1  # drawn from thousands: five times the same has no chance, two that touch have


def test_ports_are_kept(tmp_path: Path) -> None:
    first = keep_ports(tmp_path / "ports", in_use_by_us=NOBODY, progress=silent, free=all_free)
    assert keep_ports(tmp_path / "ports", in_use_by_us=NOBODY, progress=silent, free=all_free) == first
    assert read_ports(tmp_path / "ports") == first


def test_a_taken_port_is_replaced_alone_and_told(tmp_path: Path) -> None:
    first = keep_ports(tmp_path / "ports", in_use_by_us=NOBODY, progress=silent, free=all_free)
    taken = first[PortUse.API_SERVER]
    told: list[str] = []
    second = keep_ports(tmp_path / "ports", in_use_by_us=NOBODY, progress=told.append, free=lambda port: port != taken)
    assert second[PortUse.API_SERVER] != taken
    others = set(PortUse) - {PortUse.API_SERVER}
    assert {use: second[use] for use in others} == {use: first[use] for use in others}
    assert len(told) == 1
    assert f"port {taken} of kube-apiserver" in told[0]
    assert read_ports(tmp_path / "ports") == second


def test_a_port_we_listen_on_ourselves_is_not_taken(tmp_path: Path) -> None:
    first = keep_ports(tmp_path / "ports", in_use_by_us=NOBODY, progress=silent, free=all_free)
    second = keep_ports(tmp_path / "ports", in_use_by_us=first, progress=pytest.fail, free=lambda _port: False)
    assert second == first


@pytest.mark.parametrize("content", ["", "[]", '{"kubelet": 10250}', '{"etcd": "many"}', "{"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "ports").write_text(content)
    with pytest.raises(DamagedDataError, match=r"ports is damaged.*--wipe"):
        read_ports(tmp_path / "ports")


def test_a_real_listener_is_seen_and_named() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        server.listen()
        assert not is_free(port)
        holder = port_holder(port)
        assert holder is not None
        assert f"(pid {os.getpid()})" in holder
    assert is_free(port)
    assert port_holder(port) is None


def test_the_file_is_plain_json_for_whoever_looks(tmp_path: Path) -> None:
    keep_ports(tmp_path / "ports", in_use_by_us=NOBODY, progress=silent, free=all_free)
    assert set(json.loads((tmp_path / "ports").read_text())) == {use.value for use in PortUse}
