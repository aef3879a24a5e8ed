"""`headrace gateway`: serve webhooks, events and the incident page. Parses and prints; `app.gateway` does the work."""

from app.cli.errors import Failure
from app.cli.printing import remark
from app.log import setup
from app.settings import settings


def gateway() -> None:
    """Serve webhooks, events and the incident page until Ctrl-C; where is told by HEADRACE_GATEWAY_HOST and _PORT."""
    from app.gateway import auth
    from app.gateway.serve import serve

    config = settings()
    if why := auth.mistake(config):
        raise Failure(why)
    setup(config)
    where = f"{config.gateway_host}:{config.gateway_port}"
    if not serve(config, lambda url: remark(f"the incident page is at {url}")):
        raise Failure(f"the gateway cannot listen on {where}; is it taken? Set HEADRACE_GATEWAY_PORT")
