"""Runs the plug-ins that say who we are at an API server, and keeps what they said (does I/O).

A plug-in is a program of the one folder that the process's environment names, and only one that
the settings name gets here. It is started without a shell, a terminal or a PATH, with the
variables that the settings name; its answer has a deadline and a size. Nothing that it says
reaches a message: all of it may be secret.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler import jsonio
from reconciler.kubeerrors import KubeError
from reconciler.model.access import Credentials, Plugin
from reconciler.model.clusters import Why

FOLDER = "WHARFINGER_PLUGINS"
SECONDS = 20.0
MAX_ANSWER = 256 * 1024
AT_ONCE = 8
AGAIN = 10.0
"""Seconds before a plug-in is asked again although its last answer was refused."""
_EARLY = timedelta(seconds=60)  # before its end an answer is not used any more
_KEPT = 4096
_POLL = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """An answer: who we are, until when, and (on the process's clock) since when."""

    access: Credentials
    until: datetime | None
    at: float


_said: dict[Credentials, _Said] = {}
_places = threading.BoundedSemaphore(
    AT_ONCE
)  # event loops of several threads share them


class Identity:
    """Who we are at one server: as its inventory says, or as its plug-in says at the time."""

    def __init__(self, credentials: Credentials, name: str) -> None:
        self.credentials = credentials
        self._name = name
        self._asking = asyncio.Lock()

    async def now(self) -> Credentials:
        """Credentials to use now; the plug-in runs when it must. Raises KubeError."""
        plugin = self.credentials.plugin
        if plugin is None:
            return self.credentials
        async with self._asking:
            said = _said.get(self.credentials)
            if said is None or _is_over(said):
                said = await self._ask(plugin)
            return said.access

    def refused(self) -> bool:
        """The server did not take them: whether others can be had, so that it is worth a try."""
        said = _said.get(self.credentials)
        if said is None or time.monotonic() - said.at < AGAIN:
            return False
        del _said[self.credentials]
        return True

    async def _ask(self, plugin: Plugin) -> _Said:
        where = f"{self._name}: plug-in {plugin.program}"
        data = await _answer(_program(plugin, where), plugin, self.credentials, where)
        access, until = _identity(data, plugin, self.credentials, where)
        while len(_said) >= _KEPT:
            with suppress(KeyError):
                del _said[next(iter(_said))]
        said = _Said(access=access, until=until, at=time.monotonic())
        _said[self.credentials] = said
        return said


def forget() -> None:
    """Forget all answers of plug-ins."""
    _said.clear()


def _is_over(said: _Said) -> bool:
    return said.until is not None and datetime.now(UTC) >= said.until


def _refused(what: str, where: str) -> KubeError:
    return KubeError(what, where, why=Why.UNAUTHORISED)


def _program(plugin: Plugin, where: str) -> Path:
    """The program's file. Raises KubeError."""
    folder = os.environ.get(FOLDER, "")
    if not folder:
        what = f"plug-ins do not run here: set {FOLDER} to the folder that they are in"
        raise _refused(what, where)
    path = Path(folder).absolute() / plugin.program
    if path.parent != Path(folder).absolute() or not os.access(path, os.X_OK):
        raise _refused(f"there is no such program in the folder of {FOLDER}", where)
    return path


def _environment(plugin: Plugin, credentials: Credentials) -> dict[str, str]:
    ours = {name: os.environ[name] for name in plugin.inherit if name in os.environ}
    spec: dict[str, object] = {"interactive": False}
    if plugin.cluster_info:
        spec["cluster"] = _cluster(plugin, credentials)
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    told = {"KUBERNETES_EXEC_INFO": json.dumps(info)}
    return {**dict(plugin.environment), **ours, **told}


def _cluster(plugin: Plugin, credentials: Credentials) -> dict[str, object]:
    texts = {
        "server": credentials.server,
        "tls-server-name": credentials.tls_server_name,
        "proxy-url": credentials.proxy,
    }
    found: dict[str, object] = {key: text for key, text in texts.items() if text}
    if credentials.ca:
        encoded = base64.b64encode(credentials.ca.encode()).decode()
        found["certificate-authority-data"] = encoded
    if credentials.insecure:
        found["insecure-skip-tls-verify"] = True
    if plugin.config:
        found["config"] = json.loads(plugin.config)
    return found


async def _answer(
    program: Path, plugin: Plugin, credentials: Credentials, where: str
) -> bytes:
    """What the program writes. Raises KubeError."""
    environment = _environment(plugin, credentials)
    try:
        async with _place(), asyncio.timeout(SECONDS):
            process = await asyncio.create_subprocess_exec(
                str(program),
                *plugin.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd=program.parent,
                env=environment,
                start_new_session=True,
            )
            try:
                data = await _whole(process, where)
                code = await process.wait()
            finally:
                await _end(process)
    except TimeoutError:
        raise _refused(f"no answer within {SECONDS:g} s", where) from None
    except OSError as exc:
        raise _refused(f"cannot be started ({exc.strerror})", where) from None
    if code != 0:
        what = f"it ended with {code}; run it by hand to see what it says"
        raise _refused(what, where)
    return data


async def _whole(process: asyncio.subprocess.Process, where: str) -> bytes:
    if process.stdout is None:
        raise AssertionError("its output is a pipe")
    data = bytearray()
    while chunk := await process.stdout.read(64 * 1024):
        data += chunk
        if len(data) > MAX_ANSWER:
            raise _refused(f"it says more than {MAX_ANSWER} bytes", where)
    return bytes(data)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Nothing of it goes on, also not what it started itself."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


@asynccontextmanager
async def _place() -> AsyncIterator[None]:
    while not _places.acquire(blocking=False):
        await asyncio.sleep(_POLL)
    try:
        yield
    finally:
        _places.release()


def _identity(
    data: bytes, plugin: Plugin, credentials: Credentials, where: str
) -> tuple[Credentials, datetime | None]:
    """Who an answer says that we are, and until when. Raises KubeError."""
    try:
        body = jsonio.loads(data)
    except jsonio.InvalidJson:
        raise _refused("it does not say JSON", where) from None
    status = body.get("status") if isinstance(body, dict) else None
    if (
        not isinstance(body, dict)
        or not isinstance(status, dict)
        or body.get("kind") != "ExecCredential"
        or body.get("apiVersion") != plugin.api_version
    ):
        what = f"it does not say an ExecCredential of {plugin.api_version}"
        raise _refused(what, where)
    token = _text(status, "token", where)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise _refused("its token has characters that no token has", where)
    certificate = _text(status, "clientCertificateData", where)
    key = _text(status, "clientKeyData", where)
    if bool(certificate) != bool(key) or not (token or key) or "ENCRYPTED" in key:
        raise _refused("it says neither a token nor a certificate with its key", where)
    access = replace(
        credentials,
        plugin=None,
        token=token,
        client_certificate=certificate,
        client_key=key,
    )
    return access, _until(_text(status, "expirationTimestamp", where), where)


def _text(status: dict[str, object], key: str, where: str) -> str:
    value = status.get(key)
    if not isinstance(value, str | None):
        raise _refused(f"its {key} is no text", where)
    return value or ""


def _until(text: str, where: str) -> datetime | None:
    """Until when an answer is used: a little less than it says."""
    if not text:
        return None
    try:
        end = datetime.fromisoformat(text)
    except ValueError:
        raise _refused("its expirationTimestamp is no time", where) from None
    if end.tzinfo is None:
        end = end.replace(tzinfo=UTC)
    left = end - datetime.now(UTC)
    return end - min(_EARLY, max(left, timedelta()) / 4)
