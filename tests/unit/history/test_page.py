"""The account as a file: complete, and nothing breaks out of it."""

import re

from app.history.page import html
from app.history.timeline import account
from tests.unit.history.incident import HOUR, incident, told, told_of_events
from tests.unit.policy.builders import START_MS, Journal


def test_the_page_has_every_entry_and_a_line_for_every_metric():
    found = told(incident())
    page = html(found, START_MS)
    assert page.count("<tr class=") == len(found.entries)
    assert page.count("<polyline") == 3, "cpu, the replicas wanted, and those ready"
    assert 'href="#' in page, "causes are links"


def test_the_page_needs_nothing_else_and_hostile_names_stay_names():
    name = '"><script>alert(1)</script><img src=x onerror=y>'
    journal = Journal()
    journal.deploy("finished", name, service=name, who=name, link="javascript:alert(1)")
    page = html(account(name, HOUR, journal.records, journal.decisions, [])[0], START_MS)
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert re.findall(r"""<[^>]*\b(?:src|href)=["']?(?!#)""", page) == []
    assert "url(" not in page
    assert "javascript:alert(1)" in page, "as text"


def test_a_link_to_the_web_can_be_followed():
    journal = Journal()
    journal.deploy("finished", "2", link='https://ci/7?a=1&b="x"')
    page = html(told_of_events(journal), START_MS)
    assert '<a href="https://ci/7?a=1&amp;b=&#34;x&#34;" rel="noreferrer">' in page


def test_times_have_their_day_where_there_is_more_than_one():
    journal = Journal()
    journal.deploy("finished", "2")
    assert "<td>22:13:21</td>" in html(told_of_events(journal), START_MS)
    assert "<td>11-14 22:13:21</td>" in html(told_of_events(journal, (START_MS, START_MS + 86_400_000)), START_MS)


def test_a_page_of_nothing_says_so():
    page = html(account("web", HOUR, [], [], [])[0], START_MS)
    assert "Nothing happened" in page
