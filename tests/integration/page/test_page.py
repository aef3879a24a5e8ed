"""The incident page in a headless Chromium, from records on a real Kafka.

The gateway is the product's own application, served in this process; the records are written
through the product's encoders, as the stream side and the workers write them.
"""

import re

import pytest
from playwright.sync_api import expect

from app.policy.decision import SENTENCES, Reason
from app.policy.facts import Change, Deploy, Instances, Phase
from app.stream.topics import OUTCOMES
from tasks.contract import Kind, Outcome, Status, encode
from tests.page_stage import CLOCK, DRAWN, HOSTILE, LIVE_MS, Gateway, now, opened, source
from tests.processes import wait_for

pytestmark = pytest.mark.timeout(150)


def live(page):
    expect(page.locator("#headline")).to_have_text("Live", timeout=LIVE_MS)


def row(page, table, text):
    return page.locator(f"#{table}-rows .row:not(.head)", has_text=text)


def test_what_happens_is_on_the_page_while_it_happens(page, stream):
    live(page)
    stream.fact(Instances(source(), "web", now(), 2, 2))
    stream.samples("web", 90, 94)
    scaled = stream.scaling("web", 3, Status.DONE)
    stream.decide("web", Reason.STABILIZED)
    stream.fact(Deploy(source(), "web", Phase.FINISHED, now(), "prod", "1.4.2", "ann", event_id="one"))
    stream.fact(Change(source(), "web", "timeout 5 s", now(), "ben", event_id="two", type="config_changed"))
    stream.quarantine(b"not json at all")
    card = page.locator('.card[data-service="web"]')
    expect(card.locator(".legend")).to_contain_text("cpu 92 / 60")
    expect(card.locator(".size")).to_have_text("2/3 ready")  # scaled since
    expect(card.locator("canvas")).to_have_count(1)
    wait_for(lambda: page.evaluate(DRAWN, "web"), 10, "a line on the chart")
    card.locator(".u-over").hover()
    expect(page.locator("#tip")).to_contain_text(re.compile(r"\d\d:\d\d:\d\d"))
    found = page.locator("#decisions-rows .row", has=page.locator(f'[data-copy="headrace explain {scaled}"]'))
    expect(found).to_contain_text("scale 2 → 3")
    expect(found).to_contain_text(f"ABOVE_TARGET {SENTENCES[Reason.ABOVE_TARGET]}")
    expect(found).to_contain_text("cpu 92 (target 60)")
    expect(found).to_contain_text("done 2 → 3 replicas · 120 ms")
    expect(row(page, "decisions", "STABILIZED")).to_contain_text("refused")
    expect(row(page, "events", "1.4.2")).to_contain_text("deployed")
    expect(row(page, "events", "timeout 5 s")).to_contain_text("ben")
    expect(row(page, "quarantine", "not json at all")).to_contain_text("it is not JSON")
    stream.samples("web", 30, 34)
    expect(card.locator(".legend")).to_contain_text("cpu 32")


def test_an_action_is_under_way_until_its_outcome_comes(page, stream):
    live(page)
    stream.scaling("slow", 5, status=None)
    expect(row(page, "decisions", "slow")).to_contain_text("under way")
    at = now()
    outcome = Outcome(
        id=f"j-0-{stream.offset}-0", action=Kind.SCALE, service="slow", status=Status.FAILED, detail="no quota",
        started_at_ms=at, ended_at_ms=at + 1500, attempts=2,
    )  # fmt: skip
    stream.put(OUTCOMES, encode(outcome))
    expect(row(page, "decisions", "slow")).to_contain_text("failed no quota · 2 attempts · 1.5 s")


def test_an_action_that_nobody_does_is_not_under_way_for_ever(page, stream):
    live(page)
    stream.scaling("alone", 5, status=None, lasts_ms=4000)
    expect(row(page, "decisions", "alone")).to_contain_text("under way")
    expect(row(page, "decisions", "alone")).to_contain_text("no word", timeout=10_000)


def test_a_build_that_somebody_put_on_the_queue_is_there_with_its_outcome(page, stream):
    live(page)
    at = now()
    outcome = Outcome(
        id=f"amqp-{at}", action=Kind.BUILD, service="myapp", status=Status.FAILED, detail="exit 2",
        started_at_ms=at, ended_at_ms=at + 2500,
    )  # fmt: skip
    stream.put(OUTCOMES, encode(outcome))
    expect(row(page, "builds", "myapp")).to_contain_text("failed exit 2 · 2.5 s")


def test_an_id_is_copied_as_the_command_that_explains_it(chromium, gateway, stream):
    for page in opened(chromium, gateway, permissions=["clipboard-read", "clipboard-write"]):
        live(page)
        scaled = stream.scaling("copied")
        row(page, "decisions", "copied").get_by_role("button").click()
        expect(row(page, "decisions", "copied").get_by_role("button")).to_have_text("copied")
        assert page.evaluate("navigator.clipboard.readText()") == f"headrace explain {scaled}"


def test_of_many_services_sixty_are_shown_and_the_others_by_filter(page, stream):
    live(page)
    for n in range(65):
        stream.samples(f"many-{n:02d}", n)
    page.keyboard.press("/")
    page.keyboard.type("many-")
    expect(page.locator("#services-note")).to_contain_text("60 of 65 services are shown; filter to see the others.")
    expect(page.locator(".card")).to_have_count(60)
    page.keyboard.type("64")
    expect(page.locator(".card .name")).to_have_text(["many-64"])


def test_hostile_names_are_text(page, stream):
    live(page)
    stream.samples(HOSTILE, 50, name=HOSTILE)
    stream.fact(Change(source(), HOSTILE, HOSTILE, now(), HOSTILE, "javascript:alert(1)", "three", HOSTILE))
    stream.decide(HOSTILE, Reason.HELD)
    stream.quarantine(HOSTILE.encode())
    expect(page.locator(".card .name", has_text="<img")).to_have_text(HOSTILE)
    expect(row(page, "events", "<img")).to_contain_text(HOSTILE)
    expect(row(page, "quarantine", "<img")).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0
    assert page.locator("a[href^=javascript]").count() == 0
    page.locator(".card .name", has_text="<img").click()
    expect(page.locator("#chosen")).to_contain_text(HOSTILE)
    page.reload()
    expect(page.locator("#chosen")).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0


def test_a_card_filters_what_is_below_by_mouse_and_by_keyboard(page, stream):
    live(page)
    for name in ("left", "right"):
        stream.samples(name, 50)
        stream.decide(name, Reason.HELD)
        stream.scaling(name)
    expect(row(page, "decisions", "left")).to_have_count(2)
    page.locator('.card[data-service="left"]').click()
    expect(page).to_have_url(re.compile(r"#service=left$"))
    expect(row(page, "decisions", "left")).to_have_count(2)
    expect(row(page, "decisions", "right")).to_have_count(0)
    page.get_by_role("checkbox", name="Refusals").uncheck()
    expect(row(page, "decisions", "left")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(row(page, "decisions", "right")).to_have_count(1)
    page.get_by_role("button", name="right", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="right", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(row(page, "decisions", "left")).to_have_count(0)
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("lef")
    expect(page.locator(".card")).to_have_count(1)
    expect(row(page, "decisions", "right")).to_have_count(0)


def test_kafka_away_is_said_with_its_time_and_the_data_stay(chromium, gateway, stream, kafka):
    for page in opened(chromium, gateway):
        live(page)
        stream.samples("kept", 42)
        stream.scaling("kept")
        expect(row(page, "decisions", "kept")).to_contain_text("done")
        before = now()
        kafka.kill()
        expect(page.locator("#headline")).to_contain_text("Old since", timeout=LIVE_MS)
        [said] = re.findall(r"\d\d:\d\d:\d\d", page.locator("#headline").inner_text())
        seconds = range(before // 1000 - 10, now() // 1000 + 1)
        assert said in page.evaluate(CLOCK, list(seconds))
        expect(page.locator("#why")).to_contain_text("Kafka does not answer")
        expect(page.locator('.card[data-service="kept"] .legend')).to_contain_text("cpu 42")
        expect(row(page, "decisions", "kept")).to_contain_text("done")
        page.reload()
        expect(page.locator("#headline")).to_contain_text("Old since")
        expect(row(page, "decisions", "kept")).to_contain_text("done")
        kafka.start()
        live(page)
        stream.samples("kept", 77)
        expect(page.locator('.card[data-service="kept"] .legend')).to_contain_text("cpu 77", timeout=LIVE_MS)


def test_a_stream_side_that_stands_still_is_told_apart_from_kafka(page, stream):
    live(page)
    stream.ticking.clear()
    expect(page.locator("#headline")).to_contain_text("Standing still since", timeout=LIVE_MS)
    expect(page.locator("#why")).to_contain_text("the stream side has written nothing", ignore_case=True)
    stream.ticking.set()
    live(page)


def test_a_gateway_that_goes_away_is_said_and_its_next_life_is_taken_up(chromium, own, stream):
    gateway = Gateway(own).start()
    stream.scaling("before")
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(gateway.url)
        live(page)
        expect(row(page, "decisions", "before").first).to_contain_text("done")
        gateway.stop()
        expect(page.locator("#headline")).to_contain_text("Old since", timeout=LIVE_MS)
        expect(page.locator("#why")).to_contain_text("The gateway does not answer", timeout=LIVE_MS)
        expect(row(page, "decisions", "before").first).to_contain_text("done")
        stream.scaling("between")
        gateway.start()
        live(page)
        expect(row(page, "decisions", "between")).to_contain_text("done")
        expect(row(page, "decisions", "before")).to_have_count(1)
    gateway.stop()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_fits_a_phone_and_a_desk_in_both_colours(chromium, gateway, stream, scheme, width):
    for page in opened(chromium, gateway, color_scheme=scheme, viewport={"width": width, "height": 900}):
        live(page)
        stream.samples("n" * 110, 50, name="m" * 110)
        stream.decide("n" * 110, Reason.HELD)
        stream.quarantine(b"x" * 5000)
        expect(page.locator(".card .name", has_text="nnnn").first).to_be_visible()
        expect(row(page, "quarantine", "xxxx").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        light = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (sum(light) > 3 * 128) == (scheme == "light")


def test_with_no_kafka_set_it_says_that_only_the_queue_is_there(chromium, own):
    gateway = Gateway(own.model_copy(update={"kafka_url": ""})).start()
    try:
        for page in opened(chromium, gateway):
            expect(page.locator("#headline")).to_have_text("The queue alone")
            expect(page.locator("#why")).to_contain_text("HEADRACE_KAFKA_URL")
            expect(page.locator("#no-services")).to_contain_text("No services")
    finally:
        gateway.stop()
