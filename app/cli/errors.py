"""What the command line does with failures: one sentence on stderr that says what to do, and exit code 1.

Used by `app.cli` for every command. A failure that is expected is told without a traceback; any
other is a bug and keeps its own.
"""

import sys
from typing import Final

FINDINGS: Final = 1
"""Exit code of a command that found something wrong or could not do its work; 2 is wrong usage."""

EXPECTED: Final = (
    ("app.history.journal", "HistoryError"),
    ("app.local.process", "ServerUnavailable"),
    ("app.observe.cluster", "ObserveError"),
    ("app.policy.files", "PolicyError"),
    ("app.queue.parked", "ParkedError"),
    ("app.queue.api", "TopologyError"),
    ("app.stream.client", "KafkaUnavailable"),
    ("app.stream.topics", "TopicsError"),
)
"""Exceptions whose text is written for people: module and name, so that none is loaded for this."""


class Failure(Exception):  # noqa: N818 - it is said to people, as it is
    """A command could not do what was asked; the text is one sentence that says what to do."""


def sentence_of(error: BaseException) -> str | None:
    """What to tell people of an expected failure; None for a bug."""
    if isinstance(error, Failure):
        return str(error)
    for module, name in EXPECTED:
        known = getattr(sys.modules.get(module), name, None)
        if isinstance(known, type) and isinstance(error, known):
            return str(error)
    if type(error).__module__.startswith("pydantic") and hasattr(error, "errors"):
        from tasks.shared_settings import mistakes

        return mistakes(error)  # type: ignore[arg-type]
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror or error}"
    return None
