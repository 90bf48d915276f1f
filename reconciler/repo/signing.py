"""SSH signatures over a commit's digest, by ssh-keygen (runs a child)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from reconciler.errors import Unauthorised, Usage

NAMESPACE = "wharfinger"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"


def sign(digest: str, key: str) -> str:
    """The signature of a digest as one line of base64. Raises Usage or Unauthorised."""
    done = subprocess.run(
        [_program(), "-Y", "sign", "-q", "-f", key, "-n", NAMESPACE],
        input=digest.encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    if done.returncode != 0:
        raise Unauthorised(
            "the signing key cannot be used",
            where="WHARFINGER_SIGNING_KEY",
            hint="name an unencrypted SSH private key file, readable by this user",
        )
    return done.stdout.decode().replace(_BEGIN, "").replace(_END, "").replace("\n", "")


def verifies(digest: str, signature: str, keys: tuple[str, ...]) -> bool:
    """Whether one of the public keys made this signature of this digest."""
    if not signature or not keys:
        return False
    with tempfile.TemporaryDirectory() as folder:
        signers, armoured = Path(folder, "signers"), Path(folder, "signature")
        signers.write_text("".join(f"{NAMESPACE} {key}\n" for key in keys))
        lines = [signature[i : i + 70] for i in range(0, len(signature), 70)]
        armoured.write_text("\n".join([_BEGIN, *lines, _END, ""]))
        argv = [_program(), "-Y", "verify", "-f", str(signers), "-I", NAMESPACE]
        argv += ["-n", NAMESPACE, "-s", str(armoured)]
        done = subprocess.run(
            argv, input=digest.encode(), capture_output=True, check=False, timeout=60
        )
    return done.returncode == 0


def _program() -> str:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise Usage(
            "ssh-keygen is not installed",
            hint="install openssh-client; signing needs it",
        )
    return program
