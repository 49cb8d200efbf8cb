"""Do the dependencies resolve to wheels where nothing can be run here: other Pythons, macOS, Windows?

python .ci/resolve.py [--write]      # needs uv and an index; --write puts the table into docs/support.md
"""

from __future__ import annotations

import datetime
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
PLATFORMS = {
    "Linux x86-64": "x86_64-unknown-linux-gnu",
    "Linux arm64": "aarch64-unknown-linux-gnu",
    "macOS arm64": "aarch64-apple-darwin",
    "macOS x86-64": "x86_64-apple-darwin",
    "Windows x86-64": "x86_64-pc-windows-msvc",
}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
WANTED = {
    (system, python) for system in ("Linux x86-64", "macOS arm64", "Windows x86-64") for python in ("3.11", "3.13")
}
"""What has to resolve; the rest is told as it is."""


def resolved(python: str, platform: str, *more: str) -> dict[str, str] | str:
    """Package -> version from wheels only, or uv's first line of why not."""
    command = [str(UV), "pip", "compile", str(ROOT / "pyproject.toml"), "--quiet", "--no-header", "--no-annotate"]
    chosen = ["--python-version", python, "--python-platform", platform, "--only-binary", ":all:", *more]
    done = subprocess.run([*command, *chosen], capture_output=True, text=True)
    if done.returncode:
        cause = re.search(r"Because (.+?(?:\(e\.g\., `[^`]+`\)|$))", " ".join(done.stderr.split()))
        return cause[1] if cause else done.stderr.strip()
    return dict(line.split("==") for line in done.stdout.split() if "==" in line)


def main() -> int:
    if UV is None:
        print("uv is not here: pip install uv", file=sys.stderr)
        return 2
    lines = ["| system | Python | without extras | with all extras | torch |", "| --- | --- | --- | --- | --- |"]
    lost = []
    for system, platform in PLATFORMS.items():
        for python in PYTHONS:
            plain = resolved(python, platform)
            full = resolved(python, platform, "--all-extras") if isinstance(plain, dict) else plain
            if (system, python) in WANTED and not (isinstance(plain, dict) and isinstance(full, dict)):
                lost.append(f"{system}, Python {python}: {plain if isinstance(plain, str) else full}")
            said = [f"{len(found)} packages" if isinstance(found, dict) else f"no: {found}" for found in (plain, full)]
            torch = plain["torch"] if isinstance(plain, dict) else ""
            lines.append(
                f"| {system} | {python} | {said[0]} | {said[1] if isinstance(plain, dict) else ''} | {torch} |"
            )
            print(lines[-1], flush=True)
    if "--write" in sys.argv:
        page = ROOT / "docs" / "support.md"
        version = subprocess.run([str(UV), "--version"], capture_output=True, text=True).stdout.split()[1]
        day = datetime.date.today().isoformat()
        table = "\n".join(["<!-- resolve -->", *lines, "", f"By uv {version}, {day}.", "<!-- /resolve -->"])
        page.write_text(
            re.sub(r"<!-- resolve -->.*<!-- /resolve -->", lambda _: table, page.read_text(), flags=re.DOTALL)
        )
    print("\n".join(lost) or "all that is wanted resolves")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
