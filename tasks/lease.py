"""A lease that is kept while an action runs, by a thread that prolongs it."""

import threading
from types import TracebackType
from typing import Self

from redis import RedisError

from tasks.errors import LostError, TemporaryError
from tasks.ledger import Claim, Entry, Ledger


class Lease:
    """Entered when the action begins. `claim.started` tells a function that somebody began it before."""

    def __init__(self, ledger: Ledger, entry: Entry, claim: Claim, lease_s: float) -> None:
        self.claim = claim
        self._ledger = ledger
        self._entry = entry
        self._every_s = lease_s / 3
        self._ended = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def begin(self) -> None:
        """Note that the effect begins. Raises LostError, or TemporaryError if the ledger is away."""
        self._keep(started=True)

    def check(self) -> None:
        """Raise LostError if the action is another worker's by now, TemporaryError if the ledger is away."""
        self._keep(started=False)

    def _keep(self, *, started: bool) -> None:
        try:
            self._lost = self._lost or not self._ledger.keep(self._entry, self.claim.token, started=started)
        except RedisError as error:
            raise TemporaryError(f"the ledger is away: {error}") from error
        if self._lost:
            raise LostError(self._entry.id)

    def _beat(self) -> None:
        while not self._ended.wait(self._every_s):
            try:
                self._lost = not self._ledger.keep(self._entry, self.claim.token)
            except RedisError:
                continue  # the lease may run out meanwhile: then the next beat finds it lost
            if self._lost:
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
