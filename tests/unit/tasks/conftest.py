"""What several files of tests of the workers share."""

import pytest

from tasks import action as module
from tests.unit.tasks.worlds import World


@pytest.fixture
def world(monkeypatch):
    made = []

    def make(*claims, **more):
        made.append(World(*claims, **more))
        monkeypatch.setattr(module.time, "monotonic", lambda: made[0].now_s)
        return made[0]

    return make
