"""Deploy events folded into what is known of a service: whose they are, what is late, kept and under way."""

import pytest

from app.policy.deployed import Pod, Release
from app.policy.facts import Deploy, Phase, Source
from app.policy.release import (
    ENVIRONMENTS,
    PODS,
    VERSIONS,
    UnderWay,
    all_under_way,
    fold_deploy,
    is_late,
    release_of,
    remember,
    under_way,
    version_of,
)
from app.policy.state import Service
from tests.unit.policy.rollouts import World

NOW_MS = 1000


def event(phase, version="", at_ms=NOW_MS, **more):
    return Deploy(Source("deploy_events", "id", 0, 0, 0), "web", Phase(phase), at_ms, version=version, **more)


def take(release, *events):
    """Fold events in, as they come."""
    for one in events:
        fold_deploy(release, one, version_of(release, one), one.at_ms)
    return release


def pod(number, version="1", phase="pod_started", at_ms=NOW_MS):
    return event(phase, version, at_ms, pod=f"web-{number}", address=f"10.0.0.{number}:80")


# versions


def test_an_instance_that_starts_again_is_of_the_version_that_it_says_and_else_of_its_own():
    release = take(Release(), event("finished", "2"), pod(1, "1"))
    assert version_of(release, pod(1, "2")) == "2"
    assert version_of(release, pod(1, "")) == "1"
    assert version_of(release, event("finished", "2", pod="web-1")) == "2"


def test_after_a_deploy_that_failed_an_event_without_a_version_is_of_the_one_that_runs():
    release = take(Release(), event("finished", "1"), event("started", "2"))
    assert version_of(release, event("failed")) == "2"
    take(release, event("failed"))
    assert version_of(release, event("failed")) == "1"


@pytest.mark.parametrize("phase", ["finished", "failed", "rolled_back", "removed"])
def test_after_its_end_nothing_is_under_way(phase):
    release = take(Release(), event("started", "2"), event(phase, "2", at_ms=2000))
    assert (release.announced, release.since_ms, release.begun_ms) == ("", -1, -1)
    assert under_way(Service(releases={"prod": release}), 600_000, 2000) is None


def test_of_a_service_that_was_removed_the_version_before_is_known_and_no_instance():
    release = take(Release(), event("finished", "1"), pod(1), event("removed", at_ms=2000))
    assert (release.version, release.previous, release.at_ms, release.pods) == ("", "1", 2000, {})


# what is late


def test_what_was_said_in_the_same_millisecond_is_not_late():
    release = take(Release(), event("finished", "1"), pod(1, "1"))
    assert not is_late(release, event("rolled_back", "0"))
    assert not is_late(release, pod(1, "1", "pod_stopped"))
    assert not is_late(release, pod(2, "0"))


def test_an_instance_of_another_version_that_started_before_the_last_deploy_is_late_and_one_of_its_own_is_not():
    release = take(Release(), event("finished", "1"), event("started", "2"))
    assert is_late(release, pod(1, "0", at_ms=999))
    assert not is_late(release, pod(1, "1", at_ms=999))
    assert not is_late(release, pod(1, "2", at_ms=999))


# what is kept


def test_a_version_is_of_no_team_until_somebody_says_one_and_its_team_outlives_it():
    release = Release()
    assert remember(release, event("started", "1"), "1").team == ""
    assert remember(release, event("started", "2", team="shop"), "2").team == "shop"
    assert remember(release, event("started", "3"), "3").team == "shop"


def test_the_newest_environments_versions_and_instances_are_kept():
    service, release = Service(), Release()
    for number in range(ENVIRONMENTS + 1):
        release_of(service, str(number))
    assert list(service.releases) == [str(number) for number in range(1, ENVIRONMENTS + 1)]
    for number in range(VERSIONS + 1):
        remember(release, event("started", str(number)), str(number))
    assert list(release.abouts) == [str(number) for number in range(1, VERSIONS + 1)]
    take(release, *(pod(number) for number in range(PODS + 1)))
    assert list(release.pods) == [f"web-{number}" for number in range(1, PODS + 1)]


def test_of_too_many_instances_those_that_stopped_are_forgotten_first():
    release = take(Release(), *(pod(number) for number in range(PODS)), pod(7, phase="pod_stopped"))
    assert release.pods["web-7"] == Pod("", "1", NOW_MS, stopped=True, stopped_ms=NOW_MS)
    take(release, pod(PODS))
    assert (len(release.pods), "web-7" in release.pods, "web-0" in release.pods) == (PODS, False, True)


# what is under way


def test_deploys_under_way_are_the_newest_first_and_held_until_the_longest_time_is_over():
    service = Service()
    for place, environment in enumerate(("prod", "test", "dev")):
        take(release_of(service, environment), event("started", "2", at_ms=NOW_MS + place))
    found = all_under_way(service, 600, NOW_MS + 600)
    assert [(one.environment, one.held) for one in found] == [("dev", True), ("test", True), ("prod", False)]
    assert found[0] == under_way(service, 600, NOW_MS + 600) == UnderWay("2", "dev", 1002, 1602, held=True)


def test_a_deploy_that_is_watched_is_under_way_where_it_was_deployed_until_it_is_judged():
    world = World()
    world.deploy("started", "2")
    world.run(60)
    world.deploy("finished", "2")
    (found,) = all_under_way(world.service, 600_000, world.journal.at_ms)
    assert (found.version, found.environment, found.held) == ("2", "prod", True)
