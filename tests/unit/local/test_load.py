"""The simulated fleet: load, CPU and instances over time."""

import pytest

from app.local import load
from app.local.load import Instances, Point, Service

CURVE = (Point(0, 100), Point(10, 300), Point(20, 100))


@pytest.mark.parametrize(("at_s", "expected"), [(0, 100), (5, 200), (10, 300), (15, 200), (25, 200)])
def test_load_goes_straight_from_point_to_point_and_starts_again(at_s, expected):
    assert load.load(CURVE, at_s) == pytest.approx(expected)


def test_twice_the_instances_halve_the_cpu():
    service = Service("web", 2, CURVE)
    mean = [sum(load.cpu(service, 5, n, i) for i in range(n)) / n for n in (4, 8)]
    assert mean == pytest.approx([50, 25], abs=0.05)


def test_cpu_stays_between_nothing_and_a_hundred():
    assert load.cpu(Service("web", 1, CURVE), 10, 1, 0) == 100.0
    assert load.cpu(Service("web", 1, (Point(0, 0), Point(9, 0))), 4.7, 2, 0) == 0.0


def test_one_instance_reports_its_load_itself():
    assert load.cpu(Service("web", 1, (Point(0, 42), Point(9, 42))), 3, 1, 0) == 42.0


def test_new_instances_serve_after_they_have_booted():
    instances = Instances(2)
    assert instances.want(4, 10.0) == 2
    assert instances.want(4, 10.0 + load.BOOT_S - 0.01) == 2
    assert instances.want(4, 10.0 + load.BOOT_S) == 4


def test_more_asked_for_meanwhile_boots_from_then_on():
    instances = Instances(1)
    instances.want(2, 0.0)
    instances.want(3, 0.5)
    assert instances.want(3, 1.0) == 2
    assert instances.want(3, 1.5) == 3


def test_fewer_instances_are_gone_at_once_and_stay_gone():
    instances = Instances(4)
    instances.want(6, 0.0)
    assert instances.want(2, 0.5) == 2
    assert instances.want(2, 5.0) == 2


def test_what_was_asked_for_before_a_scale_down_is_forgotten():
    instances = Instances(4)
    instances.want(6, 0.0)
    instances.want(2, 0.5)
    assert instances.want(6, 5.0) == 2


def test_less_asked_for_meanwhile_is_not_overshot():
    instances = Instances(1)
    instances.want(6, 0.0)
    instances.want(3, 0.5)
    assert instances.want(3, 1.0) == 1
    assert instances.want(3, 1.5) == 3


def test_the_demos_services_are_found_by_the_default_host_pattern():
    import re

    from app.settings import Settings

    pattern = re.compile(Settings.model_fields["service_pattern"].default)
    for service in load.SERVICES:
        for host in load.hosts(service.name, 12):
            assert pattern.match(host)["service"] == service.name


def test_the_demos_spike_is_over_before_a_minute_begins_anew():
    for service in load.SERVICES:
        assert service.curve[0].at_s == 0
        assert service.curve[-1].at_s == 60
        assert load.load(service.curve, 59.99) == pytest.approx(service.curve[0].load, abs=1)
