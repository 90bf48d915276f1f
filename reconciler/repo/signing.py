"""SSH signatures over the trailers of our commits, by ssh-keygen (runs a child).

A verified signature is remembered in the clone: signatures never change, and a child per signed
commit and pass would be slow.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from reconciler.errors import Unauthorised, Usage
from reconciler.repo.children import Limits, clean_environment, run_child

NAMESPACE = "wharfinger"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_BASE64 = re.compile(r"[A-Za-z0-9+/]{40,4000}={0,2}\Z")
_LIMITS = Limits(seconds=30)


def sign(text: bytes, key: str) -> str:
    """The signature of a text as one line of base64. Raises Usage or Unauthorised."""
    argv = [_program(), "-Y", "sign", "-q", "-f", os.path.abspath(key)]
    argv += ["-n", NAMESPACE]
    ended = run_child(argv, clean_environment(os.environ), _LIMITS, text)
    lines = ended.output.decode("ascii", "replace").split()
    signature = "".join(lines).removeprefix(_BEGIN.replace(" ", ""))
    signature = signature.removesuffix(_END.replace(" ", ""))
    if ended.code != 0 or _BASE64.match(signature) is None:
        raise Unauthorised(
            "the signing key cannot be used",
            where="WHARFINGER_SIGNING_KEY",
            hint="name an unencrypted SSH private key file of this user with mode 0400",
        )
    return signature


class Verifier:
    """Tells whether one of the public keys made a signature; remembers what it verified."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: set[str] | None = None

    def verifies(self, text: bytes, signature: str, keys: tuple[str, ...]) -> bool:
        """`keys` are lines of OpenSSH public keys. Raises Usage without ssh-keygen."""
        if not keys or _BASE64.match(signature) is None:
            return False
        parts = (text, signature.encode(), *(key.encode() for key in sorted(keys)))
        hashed = b"".join(hashlib.sha256(part).digest() for part in parts)
        mark = hashlib.sha256(hashed).hexdigest()
        if mark in self._remembered():
            return True
        if not _verify(text, signature, keys):
            return False
        self._remembered().add(mark)
        with suppress(OSError), self._memory.open("a", encoding="ascii") as file:
            file.write(f"{mark}\n")
        return True

    def _remembered(self) -> set[str]:
        if self._known is None:
            self._known = set()
            with suppress(OSError, UnicodeDecodeError):
                self._known = set(self._memory.read_text("ascii").split())
        return self._known


def _verify(text: bytes, signature: str, keys: tuple[str, ...]) -> bool:
    with tempfile.TemporaryDirectory(prefix="wharfinger-") as folder:
        signers, armoured = Path(folder, "signers"), Path(folder, "signature")
        allowed = f'{NAMESPACE} namespaces="{NAMESPACE}"'
        signers.write_text("".join(f"{allowed} {key}\n" for key in keys))
        lines = [signature[i : i + 70] for i in range(0, len(signature), 70)]
        armoured.write_text("\n".join([_BEGIN, *lines, _END, ""]))
        argv = [_program(), "-Y", "verify", "-f", str(signers), "-I", NAMESPACE]
        argv += ["-n", NAMESPACE, "-s", str(armoured)]
        return run_child(argv, clean_environment(os.environ), _LIMITS, text).code == 0


def _program() -> str:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise Usage(
            "ssh-keygen is not installed",
            hint="install openssh-client; signing needs it",
        )
    return program
