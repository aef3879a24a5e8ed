"""`pytest tests/bench -s --figures FILE` also writes every figure that is printed to a file, as JSON."""

import json
from pathlib import Path

import pytest

from tests.bench.rounds import Figures


def pytest_addoption(parser):
    parser.addoption("--figures", metavar="FILE", help="write the figures to this file, as JSON")


@pytest.fixture(scope="session")
def all_figures(pytestconfig):
    found = {}
    yield found
    file = pytestconfig.getoption("figures")
    if file:
        Path(file).write_text(json.dumps(found, indent=1) + "\n")


@pytest.fixture
def figures(all_figures, request):
    """What a test measured: it is printed when the test ends."""
    made = Figures(request.node.name.removeprefix("test_").replace("_", " "))
    yield made
    all_figures[made.title] = made.rows
    made.show()
