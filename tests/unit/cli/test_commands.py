import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from app.cli import COMMANDS, Lazy, root
from app.cli.errors import EXPECTED, Failure, sentence_of
from app.settings import settings
from tests.unit.history.recorded import history
from tests.unit.policy.builders import policy

WRITTEN_ELSEWHERE = {"demo"}


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setenv("HEADRACE_KAFKA_URL", "kafka://127.0.0.1:1")

    def run(*arguments):
        return CliRunner().invoke(root, list(arguments))

    settings.cache_clear()
    yield run
    settings.cache_clear()


def test_the_help_loads_no_command_and_no_client():
    code = (
        "import sys; from app.cli import root; from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(root, ['--help']).exit_code == 0\n"
        "heavy = {'confluent_kafka', 'pydantic', 'redis', 'kombu', 'faust', 'app.settings'} & set(sys.modules)\n"
        "print(sorted(heavy)); sys.exit(len(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WRITTEN_ELSEWHERE])
def test_every_command_can_be_loaded_and_explains_itself(run, name):
    result = run(name, "--help")
    assert result.exit_code == 0, result.output
    assert "Usage: " in result.output


def test_the_help_lists_every_command(run):
    result = run("--help")
    assert all(f"\n  {name} " in result.output for name in COMMANDS)


def test_a_slip_of_the_pen_is_usage_with_a_suggestion(run):
    result = run("topcs")
    assert result.exit_code == 2
    assert "'topics'" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["send"],
        ["send", "web"],
        ["send", "web", "cpu"],
        ["send", "web", "cpu=much"],
        ["replay", "--from", "yesterday"],
        ["pause", "web"],
        ["pause", "web", "--reason", "x", "--for", "long"],
        ["decisions", "-o", "xml"],
        ["explain"],
    ],
)
def test_wrong_usage_ends_with_2_and_no_traceback(run, arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output


def test_an_expected_failure_is_one_sentence_and_exit_code_1(run):
    result = run("policy", "validate", "/nowhere/x.yaml")
    assert result.exit_code == 1
    assert result.stderr == "headrace: /nowhere/x.yaml does not exist; name a file or a directory of them.\n"
    assert result.stdout == ""


def test_a_bug_keeps_its_traceback(run, monkeypatch):
    monkeypatch.setattr("app.cli.policy.load", lambda _: 1 / 0)
    assert isinstance(run("policy", "validate", "x").exception, ZeroDivisionError)


def test_every_expected_exception_exists_by_the_name_that_is_looked_for():
    for module, name in EXPECTED:
        __import__(module)
        error = getattr(sys.modules[module], name)
        made = error([]) if name == "PolicyError" else error("what to do")
        assert sentence_of(made) is not None
    assert sentence_of(Failure("so")) == "so"
    assert sentence_of(ValueError("a bug")) is None


def test_right_policies_are_listed_with_their_fingerprint(run, tmp_path):
    (tmp_path / "web.yaml").write_text(policy())
    (tmp_path / "notes.txt").write_text("no policy")
    result = run("policy", "validate", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "1 policy is right" in result.output


def test_all_mistakes_are_told_at_once_with_file_and_line(run, tmp_path):
    (tmp_path / "a.yaml").write_text(policy(name="Not A Name"))
    (tmp_path / "b.yaml").write_text(policy(name="b", most=0))
    result = run("policy", "validate", str(tmp_path))
    assert result.exit_code == 1
    assert "a.yaml:" in result.stderr
    assert "b.yaml:" in result.stderr


def test_a_directory_without_policies_is_told(run, tmp_path):
    result = run("policy", "validate", str(tmp_path))
    assert result.exit_code == 1
    assert "there is no policy in" in result.stderr


def test_an_unreachable_broker_is_one_sentence_with_its_setting(run):
    result = run("send", "web", "cpu=1")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "Connection refused" in result.stderr
    assert "HEADRACE_KAFKA_URL" in result.stderr


def test_a_file_with_a_wrong_line_sends_nothing(run, tmp_path):
    file = tmp_path / "x.jsonl"
    file.write_text('{"service":"web","cpu":1}\n{\n')
    result = run("send", "--file", str(file))
    assert result.exit_code == 1
    assert f"{file}:2 is no JSON" in result.stderr
    assert "nothing was sent" in result.stderr


def test_the_table_of_commands_says_what_the_commands_say_of_themselves():
    for name, entry in COMMANDS.items():
        assert entry.about.endswith("."), name
    assert isinstance(typer.main.get_command(root), Lazy)


@pytest.fixture
def exported(tmp_path):
    from app.history.journal import Journal, write

    journal = history()
    with (tmp_path / "journal.jsonl").open("wb") as file:
        write(Journal({}, journal.records), file)
    return journal, str(tmp_path / "journal.jsonl")


def test_a_journal_file_replays_without_any_server(run, exported):
    journal, file = exported
    result = run("replay", "--journal", file, "-o", "jsonl")
    assert result.exit_code == 0, result.output
    assert result.stdout.encode() == journal.bytes() + b"\n"


def test_a_journal_file_is_compared_with_a_file_of_decisions(run, exported, tmp_path):
    journal, file = exported
    decisions = tmp_path / "decisions.jsonl"
    decisions.write_bytes(journal.bytes())
    result = run("replay", "--journal", file, "--decisions", str(decisions))
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{len(journal.decisions)} decisions, equal\n"
    decisions.write_bytes(journal.bytes().replace(b'"held":5', b'"held":6', 1))
    result = run("replay", "--journal", file, "--decisions", str(decisions))
    assert result.exit_code == 1
    assert "was recorded otherwise" in result.stderr


def test_other_policies_can_be_tried_on_a_journal_file(run, exported, tmp_path):
    _, file = exported
    (tmp_path / "off.yaml").write_text(policy(mode="off"))
    result = run("replay", "--journal", file, "--policies", str(tmp_path / "off.yaml"))
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("0 decisions")


def test_a_decision_is_explained_from_a_journal_file(run, exported):
    journal, file = exported
    scaled = next(one for one in journal.decisions if one.reason == "ABOVE_TARGET")
    result = run("explain", scaled.id, "--journal", file)
    assert result.exit_code == 0, result.output
    for part in (scaled.id, "scale 3 → 5", "cpu averages 92", "between 54 and 66", "averageUtilization: 60"):
        assert part in result.stdout
    as_json = json.loads(run("explain", scaled.id, "--journal", file, "-o", "json").stdout)
    assert as_json["decision"]["id"] == scaled.id


def test_an_unknown_decision_is_a_sentence(run, exported):
    result = run("explain", "journal-0-9999-0", "--journal", exported[1])
    assert result.exit_code == 1
    assert "does not lead to decision journal-0-9999-0" in result.stderr


def test_a_journal_file_is_shown_in_words_and_as_it_is(run, exported):
    _, file = exported
    shown = run("journal", "cat", "--journal", file, "--kind", "policy_set").stdout
    assert "of 1 policies by ann: why" in shown
    assert shown.count("\n") == 1
    as_json = run("journal", "cat", "--journal", file, "-o", "json").stdout
    assert as_json.encode() == Path(file).read_bytes()
    assert run("journal", "cat", "--journal", file, "--kind", "x").exit_code == 2


def test_what_a_replay_printed_can_be_explained_without_a_server(run, exported, tmp_path):
    _, file = exported
    (tmp_path / "web.yaml").write_text(policy(service="*", target=50))
    replayed = run("replay", "--journal", file, "--policies", str(tmp_path / "web.yaml"), "-o", "jsonl")
    (tmp_path / "d.jsonl").write_text(replayed.stdout)
    first = json.loads(replayed.stdout.splitlines()[0])["id"]
    told = run("explain", first, "--decisions", str(tmp_path / "d.jsonl"), "--policies", str(tmp_path / "web.yaml"))
    assert told.exit_code == 0, told.output
    assert "averageUtilization: 50" in told.stdout
    assert "has no decision j-0-1-0" in run("explain", "j-0-1-0", "--decisions", str(tmp_path / "d.jsonl")).stderr
    assert run("explain", first, "--policies", str(tmp_path / "web.yaml")).exit_code == 2


def test_a_journal_comes_from_standard_input_too(exported):
    journal, file = exported
    lines = Path(file).read_bytes()
    result = CliRunner().invoke(root, ["replay", "--journal", "-", "-o", "jsonl"], input=lines)
    assert result.stdout.encode() == journal.bytes() + b"\n"
    empty = CliRunner().invoke(root, ["replay", "--journal", "-"], input=b"")
    assert "stdin is empty" in empty.stderr
