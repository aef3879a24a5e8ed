"""Rolling the newest deploy back, whoever asks: the action, or what stands against it."""

import pytest

from app.policy.decision import Reason
from app.policy.roll_back import How, note, roll_back
from tasks.contract import RollBack, Status
from tests.unit.policy.builders import Journal
from tests.unit.policy.rollouts import in_two_environments, reasons_of, rolled


def asked(journal, environment="prod", **how):
    return roll_back(journal.state, "web", environment, How("a-0-1-0", Reason.ALERT_FIRING, **how))


@pytest.fixture
def deployed():
    made = Journal()
    made.deploy("finished", "1")
    made.deploy("started", "2")
    made.deploy("finished", "2")
    return made


def test_it_goes_from_the_newest_deploy_to_the_version_before_it(deployed):
    found = asked(deployed, driver="helm", target="shop/web")
    assert isinstance(found, RollBack)
    assert (found.from_version, found.to_version, found.environment) == ("2", "1", "prod")
    assert (found.driver, found.target, found.reason) == ("helm", "shop/web", "ALERT_FIRING")
    assert found.expires_at_ms - found.decided_at_ms == 300_000
    assert asked(deployed).target == "web"


def test_its_generation_is_of_one_order_with_the_scalings(deployed):
    deployed.state.services["web"].generation = deployed.at_ms + 5
    assert asked(deployed).generation == deployed.at_ms + 6


def test_asking_changes_nothing_until_it_is_noted(deployed):
    first = asked(deployed)
    assert asked(deployed) == first
    note(deployed.state.services["web"], first, "hot", "team")
    assert asked(deployed) is Reason.ROLLBACK_PENDING
    assert deployed.state.services["web"].generation == first.generation


@pytest.mark.parametrize("status", list(Status))
def test_a_deploy_is_rolled_back_once_whatever_became_of_it(deployed, status):
    action = asked(deployed)
    note(deployed.state.services["web"], action, "hot", "")
    deployed.answer(action, status)
    assert asked(deployed) is Reason.ROLLED_BACK_ALREADY
    deployed.deploy("finished", "1")
    assert asked(deployed) is Reason.ROLLED_BACK_ALREADY
    deployed.deploy("finished", "3")
    assert asked(deployed).to_version == "1"


def test_a_rollback_that_nobody_answered_is_over_when_it_expires(deployed):
    note(deployed.state.services["web"], asked(deployed), "", "")
    deployed.tick(after_s=299)
    assert asked(deployed) is Reason.ROLLBACK_PENDING
    deployed.tick(after_s=1)
    assert asked(deployed) is Reason.ROLLED_BACK_ALREADY


def test_what_is_unknown_is_not_rolled_back(deployed):
    assert asked(deployed, "stage") is Reason.NO_PREVIOUS_VERSION
    made = Journal()
    made.deploy("pod_started", "1", pod="p")
    assert asked(made) is Reason.NO_PREVIOUS_VERSION
    made.deploy("finished", "1")
    assert asked(made) is Reason.NO_PREVIOUS_VERSION, "nothing is known to have run before"
    made.deploy("removed")
    assert asked(made) is Reason.NO_PREVIOUS_VERSION


def test_nothing_is_rolled_back_after_somebody_did_it_by_hand(deployed):
    deployed.deploy("rolled_back", "1")
    assert asked(deployed) is Reason.NO_PREVIOUS_VERSION


def test_a_version_that_another_verdict_found_bad_meanwhile_is_not_gone_back_to(deployed):
    deployed.state.services["web"].releases["prod"].bad = ["1"]
    assert asked(deployed) is Reason.NO_PREVIOUS_VERSION


def test_a_paused_service_is_not_rolled_back(deployed):
    deployed.command("pause")
    assert asked(deployed) is Reason.PAUSED


def test_a_service_has_one_rollback_at_a_time_over_all_its_environments():
    world = in_two_environments()
    for environment in ("prod", "stage"):
        world.deploy("started", "2", environment=environment)
        world.deploy("finished", "2", environment=environment)
    decided = world.run(45, errors=20)
    assert rolled(decided) == [("2", "1")]
    assert reasons_of(decided).count("ROLLBACK_PENDING") == 1


def test_the_events_of_a_rollback_are_its_own_in_each_environment_whatever_is_rolled_back_next():
    world = in_two_environments()
    for environment in ("prod", "stage"):
        world.deploy("started", "2", environment=environment)
        world.deploy("finished", "2", environment=environment)
        (action,) = [one.action for one in world.run(45, errors=20) if isinstance(one.action, RollBack)]
        world.journal.answer(action)
        world.run(30, errors=10)
    assert reasons_of(world.deploy("finished", "1", environment="prod")) == ["EVENT_SEEN", "OWN_ROLLBACK"]
