"""The jars of Apache Kafka: fetched once by Maven into a cache, and an archive that speeds up starts.

Called by `app.local.kafka`. The versions are in `pom.xml` beside this file. The class-data archive
is made by the first server that ends cleanly; with it a start costs a third of the CPU. It needs
the jars in one fixed order, so the class path names each of them.
"""

import fcntl
import hashlib
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from app.local.process import ServerUnavailable

POM: Final = Path(__file__).with_name("pom.xml")
LOG_CONFIG: Final = Path(__file__).with_name("log4j2.properties")
FETCH_S: Final = 600.0
"""Longest wait for Maven."""


class Jars:
    """Kafka's jars in a cache directory, shared by all who run Kafka here."""

    def __init__(self, cache: Path) -> None:
        """Look for them under `cache`; nothing is fetched before `fetch`."""
        version = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
        self.folder = cache / f"kafka-{version}"

    @property
    def fetched(self) -> bool:
        """Whether they are there."""
        return self.folder.exists()

    def fetch(self) -> None:
        """Get them with Maven unless they are there (45 MB); raises ServerUnavailable."""
        with _locked(self.folder.with_suffix(".lock")):
            if self.fetched:
                return
            with tempfile.TemporaryDirectory(dir=self.folder.parent) as scratch:
                _maven(Path(scratch) / "jars")
                (Path(scratch) / "jars").rename(self.folder)

    @property
    def class_path(self) -> str:
        """Every jar, in one order."""
        return ":".join(str(jar) for jar in sorted(self.folder.glob("*.jar")))

    @property
    def archive(self) -> Path:
        """The class-data archive of the Java on the path; it may not exist yet."""
        java = str(Path(shutil.which("java") or "java").resolve())
        return self.folder / f"classes-{hashlib.sha256(java.encode()).hexdigest()[:8]}.jsa"

    def keep_archive(self, made: Path) -> None:
        """Move an archive that a server made into the cache, whole or not at all."""
        half = self.folder / f"{made.stem}-{secrets.token_hex(4)}"
        shutil.move(made, half)
        half.replace(self.archive)

    def java(self, *options: str) -> list[str]:
        """The start of a command that runs a class of these jars."""
        archived = [f"-XX:SharedArchiveFile={self.archive}"] if self.archive.exists() else []
        return [
            "java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss512k", "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={LOG_CONFIG.as_uri()}", *archived, *options, "-cp", self.class_path,
        ]  # fmt: skip

    def run(self, class_name: str, *arguments: str) -> str:
        """Output of one of Kafka's own tools; raises ServerUnavailable with its words if it fails."""
        command = [*self.java("-Xmx128m"), class_name, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            words = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise ServerUnavailable(f"{class_name} of Kafka failed: {' '.join(words)}")
        return done.stdout


def _maven(target: Path) -> None:
    command = [
        "mvn", "-q", "-B", "-ntp", "-f", str(POM),
        "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=FETCH_S)
    except subprocess.TimeoutExpired as error:
        raise ServerUnavailable(
            f"Maven did not fetch Kafka's jars within {FETCH_S:.0f} s; is the network up? "
            "Or set HEADRACE_KAFKA_URL to a Kafka that runs"
        ) from error
    if done.returncode:
        words = (done.stdout or done.stderr).strip().splitlines()[:1]
        raise ServerUnavailable(
            f"Maven could not fetch Kafka's jars ({' '.join(words)}); mend the network or Maven's settings, "
            "or set HEADRACE_KAFKA_URL to a Kafka that runs"
        )


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """One process at a time, for as long as the block runs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
