"""Installs Wharfinger from the checkout that this file is in, into an environment of its own.

    python3 -I install.py FOLDER

Every package comes with the hash that the checkout's uv.lock has for it: uv itself by pip, the
build backend and the dependencies by uv. Nothing else of the machine's Python is used or changed,
and nothing is read from the working directory, which may be a stranger's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

try:
    import tomllib
except ImportError:
    sys.exit(f"error: Python 3.11 or newer is needed, not {sys.version.split()[0]}")

ROOT = Path(__file__).resolve().parents[3]


def main(folder: Path) -> None:
    """Make FOLDER/venv with the command `wharfinger`."""
    shutil.rmtree(folder, ignore_errors=True)
    tool = folder / "uv"
    venv.create(tool, with_pip=True)
    requirements = folder / "uv.txt"
    requirements.write_text(locked_uv(), encoding="ascii")
    run(
        *(str(tool / "bin" / "python"), "-I", "-m", "pip", "install", "--quiet"),
        *("--disable-pip-version-check", "--require-hashes", "--no-deps"),
        *("--only-binary=:all:", "--requirement", str(requirements)),
    )
    run(
        *(str(tool / "bin" / "uv"), "sync", "--quiet", "--no-config", "--locked"),
        *("--no-default-groups", "--group", "build", "--no-editable"),
        *("--no-build-isolation-package", "wharfinger"),
        *("--reinstall-package", "wharfinger", "--python", sys.executable),
        UV_PROJECT_ENVIRONMENT=str(folder / "venv"),
        UV_PYTHON_DOWNLOADS="never",
    )


def locked_uv() -> str:
    """uv as the lock has it, as a requirement with hashes."""
    with (ROOT / "uv.lock").open("rb") as file:
        packages = tomllib.load(file)["package"]
    uv = next(each for each in packages if each["name"] == "uv")
    hashes = [f"--hash={wheel['hash']}" for wheel in uv["wheels"]]
    return " ".join([f"uv=={uv['version']}", *hashes]) + "\n"


def run(*argv: str, **environment: str) -> None:
    """Run a child in the checkout; end as it ends when it fails."""
    env = {**os.environ, **environment}
    code = subprocess.run(argv, cwd=ROOT, env=env, check=False).returncode
    if code != 0:
        sys.exit(f"error: {Path(argv[0]).name} ended with {code}; see above")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(str(__doc__))
    main(Path(sys.argv[1]).absolute())
