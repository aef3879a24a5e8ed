"""Writes the pages of docs/ that say what the code says: `python -m tests.docs`, or `make docs`.

`tests/unit/test_honesty.py` compares the pages with what this would write, so that none grows
old. Pages written by hand (README, formats, operations) are not touched.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel

from app import metrics as stream_metrics
from app.cli.policy_files import text_of_schema
from app.history.case import TestFile
from app.policy.decision import SENTENCES
from app.policy.kinds import KINDS
from app.queue import topology
from app.queue.roles import NOTHING, ROLES
from app.settings import Settings as StreamSettings
from app.stream.topics import TOPICS
from tasks import metrics as worker_metrics
from tasks.contract import EXPIRY_S, Kind
from tasks.settings import Settings as WorkerSettings
from tests import docs_words as words

ROOT = Path(__file__).parents[1]
NOTICE = "<!-- Written by `make docs` from the code: change the code, not this page. -->"
SCHEMA = ROOT / "docs" / "policy.schema.json"
LIMITS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}
MANY = 20
"""Words of a field that are not listed, because there are more."""

SCHEMA_LIMITS = {
    "minimum": "at least {}", "exclusiveMinimum": "above {}", "maximum": "at most {}", "exclusiveMaximum": "below {}",
    "minItems": "at least {}", "minLength": "at least {} letter",
}  # fmt: skip


def settings() -> Iterator[str]:
    yield "# Settings"
    yield (
        "All settings are environment variables. `app/settings.py` and `tasks/settings.py` are the only readers of "
        "the environment; `BROKER_URL` and `CELERY_BROKER_URL` change nothing. `headrace doctor` prints those of the "
        "stream side with their values and where each came from. An address of "
        "Kafka or of the stream side's RabbitMQ that is set to nothing means: without it."
    )
    for title, cls in (("The stream side and the command `headrace`", StreamSettings), ("The workers", WorkerSettings)):
        yield f"## {title}"
        rows = ["| setting | default | meaning |", "|---|---|---|"]
        for name, field in cls.model_fields.items():
            limits = [
                text.format(f"{getattr(one, word):g}")
                for one in field.metadata
                for word, text in LIMITS.items()
                if getattr(one, word, None) is not None
            ]
            about = f"{field.description} {_sentence(limits)}".strip()
            rows.append(f"| `HEADRACE_{name.upper()}` | {_default(field.default)} | {_cell(about)} |")
        yield "\n".join(rows)


def reasons() -> Iterator[str]:
    yield "# Reasons"
    yield (
        "Why something was decided or refused: a closed list. A refusal is written when it begins or when its reason "
        "changes, not for every sample. `headrace explain ID` gives the numbers behind one."
    )
    rows = [f"| `{reason.value}` | {_cell(sentence)} |" for reason, sentence in SENTENCES.items()]
    yield "\n".join(["| reason | what it says |", "|---|---|", *rows])


def metrics() -> Iterator[str]:
    yield "# Metrics"
    yield (
        "What Prometheus can read: a closed list. The stream side serves them on loopback at `HEADRACE_METRICS_PORT`, "
        "a worker at `HEADRACE_WORKER_METRICS_PORT`; unset, neither does. One process has a port: on one machine give "
        "each worker, and each app that runs alone, its own. Those of the gateway are at its `/metrics/`. Nothing is "
        "counted per sample."
    )
    for title, module in (("The stream side", stream_metrics), ("The workers", worker_metrics)):
        yield f"## {title}"
        rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
        for metric in vars(module).values():
            if isinstance(metric, MetricWrapperBase):
                name = metric._name + ("_total" if metric._type == "counter" else "")
                labels = ", ".join(f"`{label}`" for label in metric._labelnames)
                rows.append(f"| `{name}` | {metric._type} | {labels} | {_cell(metric._documentation)} |")
        yield "\n".join(rows)


def topics() -> Iterator[str]:
    yield "# Topics and queues"
    yield (
        "`headrace topics init` makes the topics and `headrace queues init` the queues; `check` instead of `init` says "
        "what differs. The partitions of the journal are fixed once it is made; topics marked so have as many."
    )
    yield "## Topics on Kafka"
    rows = ["| topic | partitions | what is on it | settings |", "|---|---|---|---|"]
    for topic in TOPICS:
        config = ", ".join(f"`{key}={value}`" for key, value in sorted(topic.config.items()))
        rows.append(f"| `{topic.name}` | {topic.partitions or 'as the journal'} | {_cell(topic.about)} | {config} |")
    yield "\n".join(rows)
    yield "What other programs write to is in [formats.md](formats.md)."
    yield "## Queues on RabbitMQ"
    rows = ["| exchange | queue | routing key |", "|---|---|---|"]
    rows += [
        f"| `{exchange}` | `{queue}` | {f'`{key}`' if key else ''} |" for exchange, queue, key in topology.bindings()
    ]
    yield "\n".join(rows)
    yield "All are durable quorum queues. What else holds for them are policies, which can be changed while they run:"
    rows = ["| policy | pattern | settings |", "|---|---|---|"]
    for name, policy in topology.POLICIES.items():
        config = ", ".join(f"`{key}={value}`" for key, value in sorted(policy["definition"].items()))
        rows.append(f"| `{name}` | `{policy['pattern'].replace('|', chr(92) + '|')}` | {config} |")
    yield "\n".join(rows)
    yield (
        "`headrace queues init --users` also makes a user for each part, with what it may declare, write and read and "
        "no more; passwords come from settings or files. `queues check` compares those that are there."
    )
    rows = ["| user | what it does | declares | writes | reads | routing keys |", "|---|---|---|---|---|---|"]
    for role in ROLES.values():
        rights = (role.configure, role.write, role.read)
        keys = [key for key in (role.keys_written, role.keys_read) if key != NOTHING]
        cells = [_pattern(one) if one != NOTHING else "" for one in rights] + [" ".join(map(_pattern, keys))]
        rows.append(f"| `{role.user}` | {_cell(role.about)} | {' | '.join(cells)} |")
    yield "\n".join(rows)
    late = ", ".join(f"`{kind.value}` {EXPIRY_S[kind]} s" for kind in Kind)
    yield f"An action that waits longer than this after its decision is not done any more, and said so: {late}."


def _pattern(expression: str) -> str:
    return f"`{expression.replace('|', chr(92) + '|')}`"


def policies() -> Iterator[str]:
    yield "# Policies"
    yield words.INTRODUCTION
    for kind, cls in KINDS.items():
        yield f"## Kind {kind}"
        yield words.ABOUT[kind]
        yield from _example(f"examples/policies/{words.EXAMPLES[kind]}", kind)
        yield _table(cls)
    yield "## Tests of policies"
    yield words.TIMELINES
    yield from _example(f"examples/tests/{words.TIMELINE}")
    yield _table(TestFile)


def _example(name: str, kind: str = "") -> Iterator[str]:
    """A file, or its first document of a kind."""
    documents = (ROOT / name).read_text(encoding="utf-8").split("---\n")
    shown = next(one for one in documents if not kind or f"\nkind: {kind}\n" in one)
    yield f"From [{name}](../{name}):"
    yield f"```yaml\n{shown.strip()}\n```"


def _table(model: type[BaseModel]) -> str:
    schema = model.model_json_schema(by_alias=True)
    return "\n".join(["| field | default | meaning |", "|---|---|---|", *_fields(schema, schema["$defs"], "")])


def _fields(schema: dict, defs: dict, path: str, shown: dict[int, str] | None = None) -> Iterator[str]:
    """Rows of a JSON schema's properties, those within them below; what was shown before is not shown again."""
    shown = {} if shown is None else shown
    shown[id(schema)] = path
    for name, field in schema["properties"].items():
        here = f"{path}.{name}" if path else name
        inner, suffix = _inner(field, defs)
        default = "needed" if name in schema.get("required", ()) else _given(field, inner)
        if inner is None:
            about = f"{_about(field)} {_one_of(field, defs)} {_sentence(_limits(field))}"
            yield f"| `{here}` | {default} | {_cell(about)} |"
            continue
        about = field.get("description") or inner.get("description", "")
        again = f" Its fields are those of `{shown[id(inner)]}`." if id(inner) in shown else ""
        yield f"| `{here}{suffix}` | {default} | {_cell(about + again)} |"
        if not again:
            yield from _fields(inner, defs, here + suffix, shown)


def _given(field: dict, inner: dict | None) -> str:
    """What a field is where it is left out."""
    default = field.get("default")
    if inner is not None and isinstance(default, dict):
        return "by field"
    if isinstance(default, list) and default:
        return f"`[{', '.join(map(str, default))}]`"
    return "none" if default in (None, "", [], {}) else _default(_shown(field))


def _one_of(field: dict, defs: dict) -> str:
    """The words that a field can be, unless what is said of it names them already."""
    places = (field, *field.get("anyOf", ()))
    lists = [one.get("items", {}) for one in places]
    found = [defs[one["$ref"].rpartition("/")[2]] if "$ref" in one else one for one in (*places, *lists)]
    values = [str(value) for one in found for value in one.get("enum", ())]
    said = field.get("description", "")
    if not values or len(values) > MANY or all(value in said for value in values):
        return ""
    return f"One of {', '.join(f'`{value}`' for value in values)}."


def _inner(field: dict, defs: dict) -> tuple[dict | None, str]:
    """The object that a field is, or is a list of, and `[]` for a list."""
    for one in (field, *field.get("anyOf", ())):
        for place, suffix in ((one, ""), (one.get("items", {}), "[]")):
            found = defs[place["$ref"].rpartition("/")[2]] if "$ref" in place else {}
            if "properties" in found:
                return found, suffix
    return None, ""


def _about(field: dict) -> str:
    if "const" in field:
        return f"Always `{field['const']}`."
    return field.get("description", "")


def _limits(field: dict) -> list[str]:
    return [
        text.format(f"{one[word]:g}")
        for one in (field, *field.get("anyOf", ()))
        for word, text in SCHEMA_LIMITS.items()
        if word in one
    ]


def _shown(field: dict) -> object:
    """A default as people would write it."""
    default = field.get("default")
    return f"{default:g}s" if field.get("format") == "duration" else default


def code_map() -> Iterator[str]:
    yield "# Map of the code"
    yield "Every module and the first sentence of what it says of itself. The README has the same by folder."
    for package in ("app", "tasks"):
        yield f"## {package}"
        rows = ["| module | what is in it |", "|---|---|"]
        for path in sorted((ROOT / package).rglob("*.py")):
            said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            first = " ".join(said.partition("\n\n")[0].split())
            rows.append(f"| `{path.relative_to(ROOT).as_posix()}` | {_cell(first)} |")
        yield "\n".join(rows)


def _default(value: object) -> str:
    """A default as it is written in the environment; the home directory as `~`."""
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    if isinstance(value, Path):
        value = str(value).replace(str(Path.home()), "~")
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if isinstance(value, float):
        value = f"{value:g}"
    return "" if value in (None, "", {}) else f"`{value}`".replace("|", "\\|")


def _sentence(limits: list[str]) -> str:
    return f"{', '.join(limits).capitalize()}." if limits else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "settings": settings,
    "reasons": reasons,
    "metrics": metrics,
    "topics": topics,
    "policies": policies,
    "map": code_map,
}


def page(name: str) -> str:
    title, *rest = PAGES[name]()
    return "\n\n".join([title, NOTICE, *rest]) + "\n"


def main() -> None:
    SCHEMA.write_text(text_of_schema(), encoding="utf-8")
    for name in PAGES:
        path = ROOT / "docs" / f"{name}.md"
        text = page(name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote docs/{name}.md\n")


if __name__ == "__main__":
    main()
