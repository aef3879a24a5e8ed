"""The three Faust apps in one worker: what `faust -A app worker` finds.

The auto-scaler is the app that Faust is given; its worker starts the others beside it. Without a
RabbitMQ (`HEADRACE_RABBITMQ_URL` set to nothing) the router is left out: decisions are made and
recorded, nothing is done.
"""

from functools import cache
from typing import Any

import faust

from app import autoscaler, intake, router
from app.settings import settings
from app.stream.build import Worker


class AllApps(Worker):
    """A Faust worker that runs all the apps."""

    def __init__(self, app: faust.App, *services: Any, **options: Any) -> None:
        others = [intake.faust_app()]
        if settings().rabbitmq_url:
            others.append(router.faust_app())
        super().__init__(app, *others, *services, **options)


@cache
def faust_app() -> faust.App:
    """The auto-scaler, set up so that its worker runs the intake and the router too."""
    app = autoscaler.faust_app()
    app.conf.Worker = AllApps
    return app
