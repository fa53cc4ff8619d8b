"""Sockets to listen on, made before anything else happens: a taken port is one clear error in the caller's hands.

They are made with the TCP protocol number, without which asyncio leaves Nagle's algorithm on and an answer in two
writes waits 40 ms.
"""

from __future__ import annotations

import errno
import os
import socket

from fauxvider.errors import PortTakenError, UsageError

__all__ = ["BACKLOG", "callable_host", "listen", "url_of"]

BACKLOG = 2048
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what to call, not what to listen on


def listen(host: str, port: int, *, with_others: bool = False) -> socket.socket:
    """Listen on host and port (0: a free one); raises PortTakenError, or UsageError for a bad address.

    `with_others`: other sockets of this user may listen there as well; Linux deals connections out evenly.
    """
    if not 0 <= port < 65536:
        raise UsageError(f"cannot listen on {host}:{port}: a port is a number from 0 to 65535")
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error}") from None
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if with_others:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(f"port {port} on {host} is taken: choose another one, or 0 for a free one") from None
        raise UsageError(f"cannot listen on {host}:{port}: {error}") from None
    return sock


def callable_host(host: str) -> str:
    """Give the host to call for one that is listened on: all interfaces are called on the loopback."""
    return _ANYWHERE.get(host, host)


def url_of(sock: socket.socket) -> str:
    """Give where a listening socket is called: ``http://HOST:PORT``."""
    bound, port = sock.getsockname()[:2]
    host = callable_host(str(bound))
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
