"""A thread that writes to Kafka at a rate, and stands still for a count, so that nothing is under way then."""

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Producer

from app.settings import Settings

TICK_S = 0.1


class Sender(ABC):
    """What `Traffic` and `Decider` are: each says what is written in a tick, and what was acknowledged so far."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self.settings = settings
        self.dice = random.Random(seed)
        self.refused: list[str] = []
        self.number = 0
        self._lock = threading.Lock()
        self._go, self._quiet, self._end = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    @abstractmethod
    def producers(self) -> Sequence[Producer]:
        """Those whose acknowledgements are waited for."""

    @abstractmethod
    def tick(self) -> None:
        """Write what is due in a tenth of a second."""

    @abstractmethod
    def so_far(self) -> Any:
        """What Kafka has acknowledged, as a copy."""

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._go.set()
        self._thread.join(60)

    def resume(self) -> None:
        """Go on."""
        self._go.set()

    def pause(self, timeout_s: float = 180.0) -> Any:
        """Write nothing more and wait for every acknowledgement; what was acknowledged so far."""
        self._go.clear()
        self._quiet.clear()  # what the last pause said, maybe after the sender went on
        assert self._quiet.wait(timeout_s), f"Kafka did not acknowledge what was written within {timeout_s:.0f} s"
        assert not self.refused, self.refused[:3]
        return self.so_far()

    def _run(self) -> None:
        try:
            self._ticks()
        except Exception as error:
            self.refused.append(f"the sender itself failed: {error!r}")
            self._quiet.set()
            raise

    def _ticks(self) -> None:
        while not self._end.is_set():
            if not self._go.is_set():
                if not sum(producer.flush(1.0) for producer in self.producers()):
                    self._quiet.set()
                    self._go.wait(0.2)
                continue
            began = time.monotonic()
            self.tick()
            for producer in self.producers():
                producer.poll(0)
            time.sleep(max(0.0, TICK_S - (time.monotonic() - began)))
