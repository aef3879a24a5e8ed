"""What the tests of the incident page share: a browser, topics of their own, a gateway on them."""

import os

import pytest
from playwright.sync_api import sync_playwright

from app.settings import Settings
from tests import fresh
from tests.page_stage import PARTITIONS, Gateway, Stream, opened


@pytest.fixture(scope="module")
def chromium(chromium_program):
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium_program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def own(session, tmp_path_factory):
    """Settings of a gateway that has Kafka alone, with our topics as on the first day."""
    url = session.have("kafka").kafka_url
    spool = tmp_path_factory.mktemp("page") / "spool.db"
    settings = Settings(kafka_url=url, rabbitmq_url="", partitions=PARTITIONS, spool=spool)
    fresh.topics(settings)
    return settings


@pytest.fixture
def stream(own):
    writing = Stream(own)
    writing.ticking.set()
    yield writing
    writing.stop()


@pytest.fixture
def gateway(own, stream):
    serving = Gateway(own).start()
    yield serving
    serving.stop()


@pytest.fixture
def page(chromium, gateway):
    yield from opened(chromium, gateway)
