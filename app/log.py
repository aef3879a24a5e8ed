"""Logs of the stream side: one formatter for ours, Faust's and the libraries'.

The event is a constant, values are fields. One line a decision, nothing a sample. JSON lines
where there is no terminal. Retries of a client whose server is away come many times a second;
they are folded into one line a second each.
"""

import logging
import logging.config
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

import structlog

from app.settings import Settings


class Folded(logging.Filter):
    """Lets one record a second pass for each place in the code, with the number it stands for.

    Ours, which are dictionaries and all come from one place in structlog, pass untouched.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record passes; counts the ones that do not."""
        if isinstance(record.msg, dict):
            return True
        place = (record.pathname, record.lineno)
        at, folded = self._last.get(place, (float("-inf"), 0))
        now = self._clock()
        if now - at < 1.0:
            self._last[place] = (at, folded + 1)
            return False
        if folded:
            record.msg = f"{record.msg} (and {folded} more like it)"
        self._last[place] = (now, 0)
        return True


def _shared() -> list[Any]:
    return [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def config(settings: Settings) -> dict[str, Any]:
    """A `logging.config` dictionary, also given to Faust so that it keeps to it."""
    as_json = settings.log_json if settings.log_json is not None else not sys.stderr.isatty()
    tail: list[Any] = [structlog.processors.format_exc_info] if as_json else []
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"folded": {"()": Folded}},
        "formatters": {
            "ours": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _shared(),
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail, renderer],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "ours", "filters": ["folded"]}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {name: {"level": "WARNING"} for name in ("faust", "mode", "aiokafka", "httpx2")},
    }


def setup(settings: Settings) -> None:
    """Make structlog speak through the standard library's logging, formatted by `config`."""
    logging.config.dictConfig(config(settings))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
