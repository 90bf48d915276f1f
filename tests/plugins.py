"""Plug-ins that say who we are, as programs in a folder, for tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path

V1 = "client.authentication.k8s.io/v1"


class Plugins:
    """A folder of programs; each notes its arguments and its environment whenever it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def say(self, name: str = "who", version: str = V1, **status: object) -> None:
        """The program says this from now on."""
        body = {"kind": "ExecCredential", "apiVersion": version, "status": status}
        self.write(name, json.dumps(body))

    def write(self, name: str, text: str, *, code: int = 0, more: str = "") -> None:
        """The program writes a text, does more, and ends with a code."""
        said = self.folder / f"{name}.said"
        said.write_text(text)
        notes = self.folder / f"{name}.notes"
        file = self.folder / name
        made = file.with_suffix(".new")
        made.write_text(
            f"#!{sys.executable}\n"
            "import json, os, sys\n"
            f"with open({str(notes)!r}, 'a') as notes:\n"
            "    note = {'argv': sys.argv[1:], 'env': dict(os.environ)}\n"
            "    note['stdin'] = sys.stdin.read()\n"
            "    notes.write(json.dumps(note) + '\\n')\n"
            f"sys.stdout.write(open({str(said)!r}).read())\n"
            "sys.stdout.flush()\n"
            f"{more}\n"
            f"sys.exit({code})\n"
        )
        made.chmod(0o755)
        made.replace(file)

    def said(self, name: str = "who") -> str:
        """What the program says now."""
        return (self.folder / f"{name}.said").read_text()

    def runs(self, name: str = "who") -> list[dict[str, object]]:
        """What each run noted."""
        notes = self.folder / f"{name}.notes"
        lines = notes.read_text().splitlines() if notes.exists() else []
        return [json.loads(line) for line in lines]
