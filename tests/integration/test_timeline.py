"""`headrace timeline` on a real run, as text, JSON and HTML, while the stream goes on."""

import json
import re
import subprocess
from time import time

import pytest

from tests.processes import wait_for
from tests.product import Product, policy
from tests.unit.policy.test_route import route


@pytest.fixture(scope="module")
def product(session, tmp_path_factory):
    with Product(session.have("kafka", "rabbitmq", "redis"), tmp_path_factory.mktemp("timeline")) as running:
        running.stream()
        running.worker()
        running.apply(policy() + "---" + route(), author="ann", message="first")
        running.send("deploy_events", {"type": "deployed", "service": "web", "version": "2", "who": "ann"})
        running.send("deploy_events", {"type": "infrastructure_changed", "service": "*", "what": "new kernel"})
        running.send("instances", {"service": "web", "wanted": 2, "ready": 2})
        running.send("metrics", *[{"host": f"web-{n % 2}", "cpu": 95, "ts": time()} for n in range(40)])
        wait_for(lambda: running.replicas("web") > 2, 60, "the scaling")
        wait_for(lambda: any(one.action == "scale" for one in running.watch.tally.outcomes.values()), 60, "its outcome")
        yield running


def test_as_text_it_tells_what_happened_and_why(product):
    told = product.headrace("timeline", "web").stdout
    for expected in (
        "deployed 2 by ann",
        "new kernel (to every service)",
        "put policies in force",
        "2 replicas wanted",
    ):
        assert expected in told
    scaling = re.search(r"action .*scale 2 → \d.*\[(\S+)\]", told)[1]
    assert re.search(rf"outcome .*scale done.*← {scaling}", told)
    times = re.findall(r"^(\d{4}-\S+ \S+)  ", told, re.MULTILINE)
    assert times == sorted(times)
    assert len(times) > 8


def test_as_json_it_is_one_document_and_asking_moves_nobody(product):
    product.send("metrics", *[{"host": "web-1", "cpu": 70} for _ in range(10)])
    found = json.loads(product.headrace("timeline", "web", "--from", "-1h", "-o", "json").stdout)
    assert {one["kind"] for one in found["entries"]} >= {"deploy", "change", "action", "outcome", "metric", "policies"}
    assert found["metrics"]["cpu"]
    wait_for(lambda: not product.lags(), 60, "the stream to go on")


def test_as_html_it_is_a_file_that_a_browser_shows(product, tmp_path, chromium_program):
    file = tmp_path / "web.html"
    product.headrace("timeline", "web", "-o", "html", "--out", str(file))
    assert "already" in product.headrace("timeline", "web", "-o", "html", "--out", str(file), code=1).stderr
    product.headrace("timeline", "web", "-o", "html", "--out", str(file), "--force")
    shown = subprocess.run(
        [chromium_program, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"file://{file}"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert "deployed 2 by ann" in shown
    assert "<polyline" in shown


def test_the_same_from_an_exported_journal_without_a_server(product, tmp_path):
    file = tmp_path / "journal.jsonl"
    product.headrace("journal", "export", str(file))
    told = product.headrace("timeline", "web", "--journal", str(file)).stdout
    assert "deployed 2 by ann" in told
    assert re.search(r"outcome .*scale done", told)
    assert told.count("put policies in force") == 1, "every partition has them"
    assert re.search(r"new kernel \(to every service\)  \[", told), "it was sent once"


def test_a_service_that_is_not_known_and_times_in_the_wrong_order_are_said(product):
    assert "nothing is known of a service 'nobody'" in product.headrace("timeline", "nobody", code=1).stderr
    assert "is it web?" in product.headrace("timeline", "wbe", code=1).stderr
    assert (
        "ask for another stretch"
        in product.headrace("timeline", "web", "--to", "2020-01-02", "--from", "2020-01-01", code=1).stderr
    )
    assert "not before" in product.headrace("timeline", "web", "--from", "now", "--to", "-1h", code=2).stderr
