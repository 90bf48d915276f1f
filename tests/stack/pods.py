"""Pods and load balancers without a kubelet: network namespaces of this host (does I/O).

A pod has an address, its own loopback device and its own view of the root folder, so
several proxies bind the same ports, and programs find ``/certs`` where they expect it.
Pods reach each other, and the addresses of the host. Needs root.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.stack.network import registry
from tests.stack.pins import system_program
from tests.stack.process import REAPER, Command, ProcessError, run, scratch

# Builds a root of its own in a mount namespace (`ip netns exec` made one), puts folders
# and files into it and becomes the program: arguments ROOT (PATH SOURCE)... -- PROGRAM...
ENTER = """
root=$1; shift
mount -t tmpfs -o mode=755 pod "$root"
for entry in /*; do
  if [ -L "$entry" ]; then cp -P "$entry" "$root$entry"
  elif [ -d "$entry" ]; then mkdir "$root$entry"; mount --rbind "$entry" "$root$entry"
  fi
done
mount -t tmpfs shm "$root/dev/shm"
while [ "$1" != -- ]; do
  [ -e "$root$1" ] || mkdir -p "$root$1"
  mount --bind "$2" "$root$1"; shift 2
done
shift
exec chroot "$root" "$@"
"""
# What a load balancer and kube-proxy do: listed ports only, and to the target port.
SERVICE = """
table ip service
delete table ip service
table ip service {{
  chain listed {{
    type filter hook prerouting priority -150;
    ip daddr {address} tcp dport != {{ {ports} }} ct state new reject with tcp reset
  }}
  chain translate {{
    type nat hook prerouting priority -100;
    ip daddr {address} tcp dport {{ {ports} }} redirect to :tcp dport map {{ {targets} }}
  }}
}}
"""


@dataclass(slots=True, kw_only=True)
class Pod:
    """One network namespace. `address` is the pod's, `service` its load balancer's."""

    network: Network
    number: int
    mounts: dict[str, Path] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The name of the network namespace."""
        return f"{self.network.bridge}-{self.number}"

    @property
    def link(self) -> str:
        """The name of the host's end of the cable to the pod."""
        return f"{self.network.bridge}v{self.number}"

    @property
    def address(self) -> str:
        """The address of the pod: every port that is listened on."""
        return f"{self.network.prefix}.{self.number}"

    @property
    def service(self) -> str:
        """The address of its load balancer: only the ports of `expose`."""
        return f"{self.network.prefix}.{self.number + 127}"

    def command(self, command: Command) -> Command:
        """The same command, run inside the pod."""
        root = scratch(f"{command.name}-root")
        hosts = root.with_name(f"{root.name}.hosts")
        lines = [f"{address} {name}" for name, address in self.hosts.items()]
        hosts.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        REAPER.remember("folder", str(hosts))
        mounts = [("/etc/hosts", hosts), *self.mounts.items()]
        argv = (
            *("ip", "netns", "exec", self.namespace),
            *("sh", "-ec", ENTER, "pod", str(root)),
            *(str(part) for mount in mounts for part in mount),
            *("--", *command.argv),
        )
        return replace(command, argv=argv)

    def expose(self, ports: Mapping[int, int]) -> None:
        """Serve these ports (port -> target port) on `service`, and no others."""
        numbers = ports or {1: 1}
        rules = SERVICE.format(
            address=self.service,
            ports=", ".join(map(str, numbers)),
            targets=", ".join(f"{port} : {to}" for port, to in numbers.items()),
        )
        inside = ("ip", "netns", "exec", self.namespace)
        run(*inside, str(system_program("nft")), "-f", "-", stdin=rules)

    def close(self) -> None:
        """Remove the namespace and its link; its programs must have been stopped."""
        # The kernel keeps a namespace while it has unanswered packets, and with it the
        # link, whose name the next run wants.
        _remove("link", self.link)
        _remove("netns", self.namespace)
        self.network.reuse(self.number)


class Network:
    """The pods of one run: a bridge with a subnet ``10.98.x.0/24`` of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free = deque(range(2, 127))
        self.subnet, self._handle = _take_subnet()
        self.bridge = f"whf{self.subnet}"
        self.prefix = f"10.98.{self.subnet}"
        self.gateway = f"{self.prefix}.1"
        _remove("link", self.bridge)
        REAPER.remember("link", self.bridge)
        # Without a hardware address of its own a bridge takes the lowest of its ports:
        # it would change with pods, and those that run would send into the void.
        _ip(
            f"link add {self.bridge} address {self._hardware(1)} type bridge",
            f"addr add {self.gateway}/24 dev {self.bridge}",
            f"link set {self.bridge} up",
        )

    def pod(
        self,
        *,
        mounts: Mapping[str, Path] | None = None,
        hosts: Mapping[str, str] | None = None,
    ) -> Pod:
        """A new pod. `mounts`: path inside -> folder or file; `hosts`: name -> address."""
        with self._lock:
            if not self._free:
                raise ProcessError("125 pods run already: close some")
            number = self._free.popleft()
        made = Pod(
            network=self,
            number=number,
            mounts=dict(mounts or {}),
            hosts=dict(hosts or {}),
        )
        name, link, hardware = made.namespace, made.link, self._hardware(number)
        _remove("link", link)
        _remove("netns", name)
        REAPER.remember("netns", name)
        REAPER.remember("link", link)
        _ip(
            f"netns add {name}",
            f"link add {link} type veth peer name eth0 address {hardware} netns {name}",
            f"link set {link} master {self.bridge} up",
            f"-n {name} link set lo up",
            f"-n {name} addr add {made.address}/24 dev eth0",
            f"-n {name} addr add {made.service}/24 dev eth0",
            f"-n {name} link set eth0 up",
            f"-n {name} route add default via {self.gateway}",
        )
        return made

    def reuse(self, number: int) -> None:
        """The pod of this number is gone."""
        with self._lock:
            self._free.append(number)

    def _hardware(self, number: int) -> str:
        # The same for each pod of that number: neighbours remember it for a minute.
        return f"02:77:68:66:{self.subnet:02x}:{number:02x}"

    def close(self) -> None:
        """Remove the bridge; the pods must have been closed."""
        _remove("link", self.bridge)
        os.close(self._handle)


def _ip(*commands: str) -> None:
    for command in commands:
        run("ip", *command.split())


def _remove(kind: str, name: str) -> None:
    with contextlib.suppress(ProcessError):
        run("ip", kind, "del", name)
    REAPER.forget(kind, name)


def _take_subnet() -> tuple[int, int]:
    for number in range(1, 255):
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
        handle = os.open(registry() / f"subnet-{number}", flags, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        return number, handle
    raise ProcessError("all subnets 10.98.x.0/24 are taken by other test runs")


def expand(arguments: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Container arguments with ``$(NAME)`` filled in, as a kubelet does."""
    done = []
    for argument in arguments:
        for name, value in values.items():
            argument = argument.replace(f"$({name})", value)
        done.append(argument)
    return tuple(done)
