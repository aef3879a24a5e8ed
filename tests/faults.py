"""A TCP proxy that tests put before a server: it passes, cuts, refuses, holds back or delays; or speaks TLS for it.

It runs in a thread of its own. Kafka needs `kafka.proxied_url` beside it, since its clients
come back by the address that the broker tells them.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable

HOST = "127.0.0.1"


class Proxy:
    """Forwards `port` (0: a free one) to the server's port `to`, until told otherwise."""

    def __init__(self, to: int, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.to = to
        self.port = port
        self._tls = tls
        self._delay_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self):
        self._thread.start()
        self._call(self._flows.set)
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_):
        self.refuse()
        asyncio.run_coroutine_threadsafe(self._settle(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def connections(self) -> int:
        """Open connections of clients."""
        return len(self._writers) // 2

    def cut(self) -> None:
        """Break the connections there are; new ones pass."""
        self._call(self._break)

    def refuse(self) -> None:
        """Break the connections there are and refuse new ones, as a server that is down."""
        self._call(self._close)

    def hole(self) -> None:
        """Let no byte pass either way, as a network that is split: nothing is lost, nothing arrives."""
        self._call(self._flows.clear)

    def delay(self, seconds: float) -> None:
        """Hold each piece of data back for a while, each way."""
        self._delay_s = seconds

    def heal(self) -> None:
        """Pass everything again, at once."""
        self._delay_s = 0.0
        self._call(self._flows.set)
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def _call(self, change: Callable[[], None]) -> None:
        async def run() -> None:
            change()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port, ssl=self._tls)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _settle(self) -> None:
        """Wait for what still serves a connection, so that the loop ends with nothing pending."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._break()

    def _break(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection(HOST, self.to)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, to_writer}
        self._writers |= both
        try:
            await asyncio.gather(self._pump(reader, to_writer), self._pump(to_reader, writer))
        finally:
            self._writers -= both
            for end in both:
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
            # over TLS there is only an end of both ways
            if not writer.transport.is_closing() and writer.can_write_eof():
                writer.write_eof()


def speaks(port: int, timeout_s: float = 1.0) -> bytes:
    """What a server there answers to PING within `timeout_s`; empty if nothing."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s) as peer:
            peer.settimeout(timeout_s)
            peer.sendall(b"PING\r\n")
            return peer.recv(64)
    except OSError:
        return b""
