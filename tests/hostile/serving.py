"""Serves clusters until stdin ends.

    python -m tests.hostile.serving FOLDER healthy|hostile ROUTES

The first line of stdout says where each one listens; for each line of stdin a line follows with
the number of requests that each one got. A line with a name changes that cluster first. FOLDER holds the CA and the certificate.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from tests.hostile.cluster import Cluster
from tests.hostile.evils import HOSTILE_UID, Evil, evils
from tests.hostile.watch_evils import watch_evils
from tests.kubeserver import Answer, Handler, Request, Server, running
from tests.stack.certificates import Authority, Issued

HEALTHY = tuple(f"c{number:02}" for number in range(20))
CANARY = "canary"


class Hostile:
    """A healthy cluster but for one answer, to a watch where the behaviour is one of watches."""

    def __init__(self, name: str, evil: Evil) -> None:
        self.evil = evil
        self.rest = Cluster(f"{HOSTILE_UID}-{name}")

    def __call__(self, request: Request) -> Answer:
        if request.path == self.evil.path and self.evil.watches == (
            "watch" in request.query
        ):
            return self.evil.answer(request)
        return self.rest(request)


def healthy(routes: int) -> dict[str, Handler]:
    """The clusters beside the hostile one."""
    return {name: Cluster(uid(name), routes) for name in HEALTHY}


def uid(name: str) -> str:
    """The id of a healthy cluster."""
    return f"uid-{name}"


async def serve(made: tuple[Authority, Issued], kind: str, routes: int) -> None:
    """Run until stdin ends."""
    async with AsyncExitStack() as stack:

        async def start(handler: Handler) -> Server:
            return await stack.enter_async_context(running(made, handler))

        servers = {CANARY: await start(Cluster("uid-canary"))}
        handlers: Mapping[str, Handler] = healthy(routes)
        if kind == "hostile":
            canary = servers[CANARY].port
            all_of_them = {**evils(canary, uid(HEALTHY[0])), **watch_evils(canary)}
            handlers = {name: Hostile(name, evil) for name, evil in all_of_them.items()}
        for name, handler in handlers.items():
            servers[name] = await start(handler)
        print(json.dumps({name: each.port for name, each in servers.items()}), flush=True)  # fmt: skip
        while line := await asyncio.to_thread(sys.stdin.readline):
            touched = handlers.get(line.strip())
            if isinstance(touched, Cluster):
                touched.touch()
            asked = {name: len(each.requests) for name, each in servers.items()}
            connected = {f"{name}/connections": each.connections for name, each in servers.items()}  # fmt: skip
            print(json.dumps({**asked, **connected}), flush=True)


def main() -> None:
    """Serve what the arguments say."""
    folder, kind, routes = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    authority = Authority.__new__(Authority)
    authority.cert = folder / "ca.crt"
    issued = Issued(cert=folder / "server-1.crt", key=folder / "server-1.key")
    asyncio.run(serve((authority, issued), kind, routes))


if __name__ == "__main__":
    main()
