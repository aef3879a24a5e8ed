"""Logs of the workers: one line an action; JSON where there is no terminal. Written twice, here and in
`app.log`, since the two packages share words and nothing else.
"""

import logging
import logging.config
import sys
from typing import Any

import structlog

from tasks.settings import Settings


def setup(settings: Settings) -> None:
    """One formatter for our lines, Celery's and the libraries'."""
    as_json = settings.log_json if settings.log_json is not None else not sys.stderr.isatty()
    shared: list[Any] = [structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    tail: list[Any] = [structlog.processors.format_exc_info] if as_json else []
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": shared,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail, renderer],
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"ours": formatter},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "ours"}},
            "root": {"handlers": ["stderr"], "level": "INFO"},
            "loggers": {
                # Celery's own lines for each task would say ours again
                "celery.app.trace": {"level": "ERROR"},
                "celery.worker.strategy": {"level": "WARNING"},
                "httpx2": {"level": "WARNING"},  # a line for each request
            },
        }
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
