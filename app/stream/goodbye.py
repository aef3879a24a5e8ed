"""How connections to Kafka end: at once, also those over TLS.

Called by `app.stream.fetching` and `app.stream.transport` for the clients of aiokafka that they make.
"""

import asyncio
from typing import Any


def prompt(client: Any) -> None:
    """Have a client close its TLS connections without waiting for the brokers' goodbye.

    asyncio waits for it for half a minute, and a broker that is in the middle of an answer does not say it. What
    matters was awaited before a client is closed: what was written is acknowledged, and the group left.
    """
    if "SSL" not in client._security_protocol:  # noqa: SLF001
        return
    close = client.close

    async def closed() -> None:
        writers = [conn._writer for conn in client._conns.values() if conn._writer is not None]  # noqa: SLF001
        ending = asyncio.ensure_future(close())
        await asyncio.sleep(0)
        for writer in writers:
            writer.transport.abort()
        await ending

    client.close = closed
