"""How ssh is called: the user's own configuration, but no unknown host key."""

from __future__ import annotations

import os
import shlex

from reconciler.repo.remote import Credentials


def ssh_command(credentials: Credentials) -> str:
    """The user's own ssh configuration, but never an unknown or changed host key."""
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "ForwardAgent=no"]
    options += ["ControlMaster=no", "ControlPath=none", "UpdateHostKeys=no"]
    options += ["ConnectTimeout=20", "ServerAliveInterval=15", "PermitLocalCommand=no"]
    if credentials.known_hosts:
        options.append(f"UserKnownHostsFile={_ssh_path(credentials.known_hosts)}")
        options.append("GlobalKnownHostsFile=/dev/null")
    if credentials.ssh_key:
        options.append("IdentitiesOnly=yes")
        options.append(f"IdentityFile={_ssh_path(credentials.ssh_key)}")
    words = ["ssh"]
    for option in options:
        words += ["-o", option]
    return shlex.join(words)


def _ssh_path(path: str) -> str:
    """ssh splits such options at blanks unless they are quoted, and expands percent signs."""
    absolute = os.path.abspath(path).replace("%", "%%").replace('"', '\\"')
    return f'"{absolute}"'
