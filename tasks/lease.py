"""A lease that is kept while an action runs, and the heart that prolongs those of a process."""

import threading
import time
from types import TracebackType
from typing import Final, Self

from redis import RedisError

from tasks.errors import LostError, TemporaryError
from tasks.ledger import Claim, Entry, Ledger, now_s

BEATS: Final = 3
"""Beats in the time of a lease: one that comes late does not lose it."""


class Heart:
    """Prolongs the leases of a process, by one thread, three times in the time of a lease.

    Begins with the first lease. Most actions are over before it beats, and cost no call of it.
    """

    def __init__(self, ledger: Ledger, lease_s: float) -> None:
        self.ledger = ledger
        self.every_s = lease_s / BEATS
        self._held: set[Lease] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, lease: "Lease") -> None:
        """Prolong a lease from now on."""
        with self._lock:
            self._held.add(lease)
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="heart", daemon=True)
            self._thread.start()

    def drop(self, lease: "Lease") -> None:
        """Prolong a lease no more; no word of it is on its way to the ledger when this returns."""
        with self._lock:
            self._held.discard(lease)

    def _beat(self) -> None:
        while True:
            time.sleep(self.every_s)
            with self._lock:
                self._held = {lease for lease in self._held if lease.prolong()}


class Lease:
    """Entered when the action begins. `claim.started` tells a function that somebody began it before."""

    def __init__(self, heart: Heart, entry: Entry, claim: Claim, *, noted: bool = False) -> None:
        """`noted`: the claim itself noted that the effect begins, since it begins at once."""
        self.claim = claim
        self._heart = heart
        self._entry = entry
        self._noted = noted
        self._lost = False

    def begin(self) -> None:
        """Note that the effect begins. Raises LostError, or TemporaryError if the ledger is away.

        Where the claim noted it, and was made less than a beat ago, the ledger has nothing to add: the
        lease is ours for two beats yet. A worker that was frozen since finds more time gone by, and asks.
        """
        if self._noted and not self._lost and now_s() - self.claim.asked_s < self._heart.every_s:
            return
        try:
            self._lost = self._lost or not self._heart.ledger.keep(self._entry, self.claim.token, started=True)
        except RedisError as error:
            raise TemporaryError(f"the ledger is away: {error}") from error
        if self._lost:
            raise LostError(self._entry.id)

    def prolong(self) -> bool:
        """Keep it another while; False if it is lost. A ledger that is away is asked again at the next beat."""
        try:
            self._lost = self._lost or not self._heart.ledger.keep(self._entry, self.claim.token)
        except RedisError:
            return True
        return not self._lost

    def __enter__(self) -> Self:
        self._heart.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heart.drop(self)
