"""What the pages say is compared with the code, and so are the sizes that make it readable."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import COMMANDS
from app.cli.policy_files import text_of_schema
from app.policy.files import load
from app.settings import Settings
from tasks.clients.commanded import WISHES
from tasks.settings import Settings as WorkerSettings
from tests.docs import PAGES, SCHEMA, page

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BY_HAND = ["README.md", "docs/formats.md", "docs/operations.md", "docs/stream.md", "docs/tests.md", "CONTRIBUTING.md"]
SOURCES = sorted(path for package in ("app", "tasks") for path in (ROOT / package).rglob("*.py"))
LEFT_OUT = {
    f"tasks/{name}.py" for name in ("consumer", "errors", "incoming", "lease", "log", "metrics", "outcomes", "settings")
}
LEFT_OUT |= {"app/__init__.py", "tasks/__init__.py"}
"""Modules that docs/map.md names and the README does not."""

MAP = {
    line.split()[0]: line.split(maxsplit=1)[1]
    for line in re.search(r"## Map of the code\n+```\n(.*?)```", README, re.DOTALL)[1].splitlines()
}


def names(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("name", PAGES)
def test_a_written_page_says_what_the_code_says(name):
    assert (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") == page(name), "run `make docs` and commit"


def test_the_published_schema_is_the_one_of_the_models():
    assert SCHEMA.read_text(encoding="utf-8") == text_of_schema(), "run `make docs` and commit"


def test_all_pages_are_written_or_known_to_be_by_hand():
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    measured = {"docs/guarantees.md"}  # written by a run of `make chaos`
    assert pages - measured == {f"docs/{name}.md" for name in PAGES} | {
        name for name in BY_HAND if name.startswith("docs/")
    }


@pytest.mark.parametrize("place", MAP)
def test_what_is_on_the_map_is_there(place):
    assert (ROOT / place).is_dir() if place.endswith("/") else (ROOT / place).is_file()


def test_what_is_there_is_on_the_map():
    there = {f"{names(path.parent)}/" for path in SOURCES if path.parent not in {ROOT / "app", ROOT / "tasks"}}
    there |= {names(path) for path in SOURCES if f"{names(path.parent)}/" not in there}
    assert there - LEFT_OUT <= set(MAP)


@pytest.mark.parametrize("name", BY_HAND)
def test_the_links_of_a_page_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)[^)]*\)", text):
        assert (ROOT / name).parent.joinpath(link).exists(), f"{name} leads to {link}, which is not there"


def test_the_tests_that_a_page_names_exist():
    """And the list of what the transport must handle has one for each."""
    text = (ROOT / "docs" / "stream.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", text, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 20))
    for number, tests in rows:
        assert "::test_" in tests, f"nothing holds {number}"
    named = {
        place for name in BY_HAND for place in re.findall(r"`(tests/\S+?::\w+)`", (ROOT / name).read_text("utf-8"))
    }
    for place in named:
        file, _, function = place.partition("::")
        assert f"\ndef {function}(" in (ROOT / file).read_text(encoding="utf-8"), f"{place} is not there"


@pytest.mark.parametrize("name", [*BY_HAND, "CHANGELOG.md"])
def test_the_commands_that_a_page_names_exist(name):
    text = " ".join((ROOT / name).read_text(encoding="utf-8").split())
    for command in re.findall(r"(?:^|[`(] ?|sh )headrace ([a-z]+)", text):
        assert command in COMMANDS, f"{name} speaks of `headrace {command}`"
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)", text)) <= targets


def test_the_lines_to_type_are_taken_by_the_command_line(monkeypatch):
    """Parsed as they stand, with their options; nothing is run."""
    import typer

    from app.cli import root

    blocks = " \n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    lines = re.findall(r"^headrace .*$", blocks, re.MULTILINE)
    lines += re.findall(r"`(headrace [a-z][^`]*)`", " ".join(README.split()))
    assert len(lines) > 10
    for line in lines:
        _, *arguments = shlex.split(line, comments=True)
        command = typer.main.get_command(root)
        while arguments and hasattr(command, "resolve_command"):
            context = command.make_context("headrace", list(arguments[:1]), resilient_parsing=True)
            _, command, _ = command.resolve_command(context, arguments[:1])
            arguments = arguments[1:]
        if arguments:
            command.make_context(line, arguments).close()


def test_the_settings_that_a_page_names_exist():
    known = {f"HEADRACE_{name.upper()}" for cls in (Settings, WorkerSettings) for name in cls.model_fields}
    known |= {f"HEADRACE_{name.upper()}" for name in WISHES}  # what a command is told
    for name in BY_HAND:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert set(re.findall(r"HEADRACE_[A-Z][A-Z_]+[A-Z]", text)) <= known


def test_the_metrics_that_a_page_names_exist():
    known = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for name in BY_HAND:
        for metric in re.findall(r"`(headrace_\w+)`", (ROOT / name).read_text(encoding="utf-8")):
            assert f"`{metric}`" in known


def test_the_policy_of_the_readme_is_right():
    (policy,) = load({"web.yaml": re.search(r"```yaml\n(.*?)```", README, re.DOTALL)[1]})
    assert policy.name == "web"


@pytest.mark.parametrize("module", ["tasks.contract", "app.policy.step", "app", "tasks"])
def test_a_light_module_loads_no_engine(module):
    heavy = {"celery", "kombu", "faust", "mode", "confluent_kafka", "aiokafka", "redis"}
    code = f"import sys, {module}; print(*({heavy!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.split() == []


@pytest.mark.parametrize("path", SOURCES, ids=names)
def test_a_module_can_be_read_at_once(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines"
