"""Request bodies within limits: of size, of time, and of what all of them hold together.

Called by whatever takes a body. A client that sends too much, or trickles, is answered and cut off.
"""

import asyncio
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

LARGEST: Final = 25_000_000
"""Bytes of the largest body: GitHub's own limit."""
WITHIN_S: Final = 20.0
"""Longest a client may take to send one."""
TOGETHER: Final = 200_000_000
"""Bytes of all bodies that are being read at once."""


class Bodies:
    """Reads bodies; one for each application, so that it knows what all of them hold."""

    def __init__(self) -> None:
        self._held = 0

    async def read(self, request: Request, largest: int = LARGEST) -> bytes:
        """The whole body; raises HTTPException 400, 408, 413 or 503, after which the connection is closed."""
        told = request.headers.get("content-length", "0")
        if told.isdigit() and int(told) > largest:
            raise _cut_off(413, f"the body has {told} bytes, and at most {largest} are taken")
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(WITHIN_S):
                async for part in request.stream():
                    size += len(part)
                    self._held += len(part)
                    parts.append(part)
                    if size > largest:
                        raise _cut_off(413, f"the body has more than {largest} bytes")
                    if self._held > TOGETHER:
                        raise _cut_off(503, "too many bodies are being read at once; come back later")
        except TimeoutError:
            raise _cut_off(408, f"the body has not arrived within {WITHIN_S:g} s") from None
        except ClientDisconnect:
            raise _cut_off(400, "the body ended early") from None
        finally:
            self._held -= size
        return b"".join(parts)


def _cut_off(status: int, why: str) -> HTTPException:
    return HTTPException(status, why, {"Connection": "close"})
