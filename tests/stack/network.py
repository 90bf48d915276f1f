"""Ports and addresses of this machine that no other test run has (does I/O).

Each is a file that stays locked for as long as this process lives, so parallel pytest
workers and separate runs never share one. Addresses are ``10.99.x.y/32`` on ``lo``:
EndpointSlices and Envoy Gateway refuse 127.0.0.0/8. Adding one needs root.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.stack.process import REAPER, ProcessError, run

# Away from ephemeral ports (32768-), from gateway ports (20000-30000), from shifted
# privileged ports (10000 + p), and from the ports that the proxies need for themselves.
PORTS = tuple(range(11100, 15000)) + tuple(range(16000, 18000))
_DICE = random.SystemRandom()
_locks: dict[str, int] = {}


def registry() -> Path:
    """The folder of the lock files, shared by all runs of this user."""
    folder = Path(tempfile.gettempdir()) / f"wharfinger-registry-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _lock(name: str) -> bool:
    if name in _locks:
        return False
    handle = os.open(registry() / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    _locks[name] = handle
    return True


def _unlock(name: str) -> None:
    os.close(_locks.pop(name))


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # The wildcard collides with a listener on any address of the machine.
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A TCP port that nobody listens on and no other test run will be given."""
    for port in _DICE.sample(PORTS, len(PORTS)):
        if _lock(f"port-{port}"):
            if _bindable(port):
                return port
            _unlock(f"port-{port}")
    raise ProcessError(f"no free port among {PORTS[0]}..{PORTS[-1]}")


def take_address() -> str:
    """A new ``10.99.x.y`` on the loopback device, ours until `give_back`."""
    while True:
        address = f"10.99.{_DICE.randrange(256)}.{_DICE.randrange(1, 255)}"
        if _lock(f"address-{address}"):
            break
    REAPER.remember("address", address)
    try:
        run("ip", "addr", "add", f"{address}/32", "dev", "lo")
    except ProcessError as error:
        # Left over from a run that was killed together with its reaper: ours now.
        if "exists" not in str(error):
            raise ProcessError(f"{error} (adding an address needs root)") from error
    return address


def give_back(address: str) -> None:
    """Take the address off the loopback device again."""
    with contextlib.suppress(ProcessError):
        run("ip", "addr", "del", f"{address}/32", "dev", "lo")
    REAPER.forget("address", address)
    _unlock(f"address-{address}")


@contextlib.contextmanager
def address() -> Iterator[str]:
    """`take_address` for the length of a with block."""
    taken = take_address()
    try:
        yield taken
    finally:
        give_back(taken)
