"""The gateway as an ASGI application: webhooks, events, and the incident page, each where it belongs.

`headrace gateway` serves it with `app.gateway.serve`. Without a Kafka it takes builds, without a
RabbitMQ it takes events and shows what happens.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from prometheus_client import make_asgi_app
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from app.gateway import pages
from app.gateway.auth import Guard
from app.gateway.board import Board
from app.gateway.bodies import Bodies
from app.gateway.feed import Feed
from app.gateway.incoming import Incoming
from app.gateway.jobs import Jobs
from app.gateway.spool import Spool
from app.gateway.webhooks import Webhooks
from app.settings import Settings


def build(settings: Settings) -> Starlette:
    """The application for some settings; its threads and its connection live as long as it does."""
    board = Board(settings.board_minutes)
    jobs = Jobs(settings.rabbitmq_url, Spool(settings.spool)) if settings.rabbitmq_url else None
    bodies = Bodies()
    webhooks = Webhooks(settings.github_secrets.get_secret_value(), jobs, bodies, board.accepted)
    feed = Feed(settings, board)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if jobs is not None:
                await jobs.start()
                stack.push_async_callback(jobs.stop)
            feed.start()
            stack.callback(feed.stop)
            yield

    return Starlette(
        routes=[
            webhooks.route,
            Incoming(settings, bodies).route,
            Route("/livez", _alive, methods=["GET"]),
            Mount("/metrics", make_asgi_app()),
            *pages.routes(board),
        ],
        middleware=[Middleware(pages.Secured), Middleware(Guard, token=settings.gateway_token.get_secret_value())],
        exception_handlers={HTTPException: _refused},
        lifespan=lifespan,
    )


async def _alive(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
