"""A private PostgreSQL for tests: it refuses root, so it runs as nobody, in a directory that is nobody's."""

import shutil
import socket
import subprocess
from pathlib import Path

from app.local.ports import HOST
from app.local.process import is_root
from app.local.server import Program

AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def binaries() -> Path | None:
    """Where its programs are; None if it is not installed."""
    known = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_isready")), shutil.which("pg_isready")]
    places = [Path(one).parent for one in known if one]
    return next((one for one in reversed(places) if (one / "initdb").exists() and (one / "postgres").exists()), None)


class Postgres(Program):
    """One server on loopback with the database `postgres` and no password."""

    title = "PostgreSQL"
    name = "postgres"
    port_names = ("postgres",)

    @staticmethod
    def missing():
        return [] if binaries() else ["postgres"]

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@{HOST}:{self.ports['postgres']}/postgres"

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _as(self) -> list[str]:
        return AS_NOBODY if is_root() else []

    def _prepare(self) -> None:
        if self._data.exists():
            return
        self._data.mkdir()
        if is_root():
            for place in (self._data, *self._data.parents):
                if place.stat().st_uid == 0 and place.parts[:2] == ("/", "tmp") and len(place.parts) > 2:
                    place.chmod(place.stat().st_mode | 0o711)
            shutil.chown(self._data, "nobody", "nogroup")
        options = ["-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*self._as(), str(binaries() / "initdb"), *options], check=True, capture_output=True)

    def _command(self) -> list[str]:
        options = ["-D", str(self._data), "-h", HOST, "-p", str(self.ports["postgres"]), "-k", str(self._data)]
        return [*self._as(), str(binaries() / "postgres"), *options]

    def _serves(self) -> bool:
        try:
            with socket.create_connection((HOST, self.ports["postgres"]), timeout=2):
                pass
        except OSError:
            return False
        ready = [str(binaries() / "pg_isready"), "-q", "-h", HOST, "-p", str(self.ports["postgres"])]
        return subprocess.run(ready, check=False).returncode == 0
