"""Ports are free, different, and out of the way of outgoing connections."""

from __future__ import annotations

import socket

from sightstream.infra.runtime.ports import (
    ADMIN_GRPC_OFFSET,
    ADMIN_GRPC_PORT,
    ADMIN_PORT,
    CANDIDATES,
    all_free,
    choose_ports,
)


def test_chosen_ports_are_free_and_different() -> None:
    for _ in range(20):
        ports = choose_ports()
        assert len(set(ports.values())) == len(ports) == 12
        assert all_free(ports.values())
        assert all(port in CANDIDATES for port in ports.values())
        assert ports[ADMIN_GRPC_PORT] == ports[ADMIN_PORT] + ADMIN_GRPC_OFFSET


def test_a_port_in_use_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not all_free([server.getsockname()[1]])
