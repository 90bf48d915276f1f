"""The last proof: a client's connection reaches the workload (does I/O).

A TCP proxy completes the handshake before it dials the workload, so an open connection proves
nothing by itself: data must come, or the connection must outlive the proxy's connect timeout.
For SNI the handshake of TLS is the proof, which only the workload can complete.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl

from reconciler.prove.checks import Dial

AT_ONCE = 256


async def dial_all(dials: tuple[Dial, ...], outlive_seconds: float) -> dict[Dial, str]:
    """The problem of each dial, an empty text where traffic flows."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(dial: Dial) -> tuple[Dial, str]:
        async with slots:
            return dial, await _dial(dial, outlive_seconds)

    return dict(await asyncio.gather(*map(one, dict.fromkeys(dials))))


async def _dial(dial: Dial, outlive_seconds: float) -> str:
    context = _unverified() if dial.sni else None
    try:
        async with asyncio.timeout(outlive_seconds + 5):
            reader, writer = await asyncio.open_connection(
                dial.address,
                dial.port,
                ssl=context,
                server_hostname=dial.sni or None,
            )
    except ssl.SSLError:
        return f"{dial}: the TLS handshake failed"
    except TimeoutError:
        return f"{dial}: no connection in time"
    except OSError as exc:
        return f"{dial}: {_why(exc)}"
    try:
        return "" if dial.sni else await _outlives(dial, reader, outlive_seconds)
    finally:
        writer.transport.abort()


async def _outlives(dial: Dial, reader: asyncio.StreamReader, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds + 0.5):
            data = await reader.read(1)
    except TimeoutError:
        return ""
    except OSError:
        return f"{dial}: the connection was reset, the workload is not reached"
    return (
        ""
        if data
        else f"{dial}: the connection was closed, the workload is not reached"
    )


def _why(error: OSError) -> str:
    """The system's words: asyncio's repeat the address, or list what it tried."""
    if isinstance(error, socket.gaierror):
        return "its name does not resolve"
    if error.errno is None:
        return "the connection was closed"
    return os.strerror(error.errno)


def _unverified() -> ssl.SSLContext:
    """Nothing is sent and nothing believed: only whether somebody completes the handshake.

    So old versions and weak keys of a workload are no reason to call it unreached.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context
