"""Writes the pages of docs/ that say what the code says: `python -m tests.docs`, or `make docs`.

`tests/unit/test_honesty.py` compares the pages with what this would write, so that none grows
old. Pages written by hand (README, formats, operations) are not touched.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from app import metrics as stream_metrics
from app.cli.policy_files import text_of_schema
from app.history.case import TestFile
from app.policy.decision import SENTENCES
from app.policy.kinds import KINDS
from app.queue import topology
from app.settings import Settings as StreamSettings
from app.stream.topics import TOPICS
from tasks import metrics as worker_metrics
from tasks.contract import EXPIRY_S, Kind
from tasks.settings import Settings as WorkerSettings

ROOT = Path(__file__).parents[1]
NOTICE = "<!-- Written by `make docs` from the code: change the code, not this page. -->"
SCHEMA = ROOT / "docs" / "policy.schema.json"
LIMITS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}
ABOUT = {
    "Scale": (
        "How many replicas a service has, in the words, with the arithmetic and in the order of Kubernetes' "
        "HorizontalPodAutoscaler: each metric asks for `replicas * (what it is / what it should be)`, rounded up, and "
        "the largest counts; within the tolerance it is no change. Then come the stages, each of which can only weaken "
        "it: the hold (`for`), the stabilization windows, and how fast and how far may be scaled. `headrace explain "
        "ID` shows the number after each. A sample of a Resource is a percentage where nobody says what an instance "
        "requests. Durations are written `30s`, `5m` or `1h30m`; quantities `100`, `250m` or `1.5k`.\n\n"
        "What Kubernetes lacks: a series may count by an aggregate of a window (`over`, `aggregate`), and there are "
        "three more types of metric. An Expression is a number computed in CEL, with the calls that an Alert has."
        " Steps step by the range that a metric is in; a step is counted from the replicas there are, so samples "
        "from before the last scaling do not count, and `cooldown` is needed for the time that the metric takes "
        "to follow. A Backlog asks for the smallest number of workers that has all that waits done within its "
        "deadline, `(waiting / deadline + inflow) / perReplica`, shared evenly by the partitions; more come at "
        "once, and fewer if those could do more than is needed by the tolerance. A policy with Steps or a Backlog"
        " and without a `behavior` scales in one jump, and its windows hold back without bringing back what was "
        "asked for once and not done. What is known "
        "in part, like the rate of some of the series that are added up, may ask for more and never for less."
    ),
    "HorizontalPodAutoscaler": (
        "A document of `autoscaling/v2` as it is. The workload's name is the service; it is looked at every 15 s and "
        "decides exactly as Kubernetes' own controller does on the same numbers, reasons of the conditions included."
    ),
    "Alert": (
        "What people have to know, in Prometheus' words and states: pending, firing, over. `expr` is "
        "[CEL](https://cel.dev) over windows of the service's series: `avg`, `min`, `max`, `sum`, `count` and "
        "`rate` take a metric and a window, `quantile` a share between them, `last` and `absent` a metric, "
        "`ratio` two numbers, `replicas()` nothing; a metric may have matchers, `rate(\"requests{code='500'}\", "
        '"5m")`. Names, windows and shares are literals, and all numbers doubles, so write `90.0`. What cannot be'
        " said, because data are missing, is unknown: it neither fires nor resolves, and is told as such. A "
        "window is exact to an eighteenth of the longest that is asked of its metric. When it begins to fire, "
        "`then` may also scale by a step, roll back, build or call a webhook: once, and what is refused is not "
        "made up for later. Who is told is said by `then.notify`, or else by the routes of kind Alerting."
    ),
    "Alerting": (
        "Who is told of which alerts, in [Alertmanager](https://prometheus.io/docs/alerting/)'s words: a tree of "
        "routes with matchers and receivers, waits and repeats, inhibition, and intervals in which nobody is "
        "told. A set of policies has one such document at most. The alerts of one service are told together; "
        "grouping over services is left to Alertmanager, which can be a receiver. Silences are commands: "
        "`headrace silence`."
    ),
    "Rollout": (
        "A deploy watched and judged, in the words of Keptn's quality gates. From its first event on, what each "
        "objective comes to is the baseline; after it finished, and settled, its objectives are judged every "
        "`every`, and at the end of the `window` for good. Each passes, is worth a warning (half its weight) or "
        "fails; the score is the share of the weights in percent; a key objective that fails fails all of it. Judged "
        "is what came after the deploy finished, by samples as by windows. Fewer replicas wait for the verdict, at "
        "most for the Scale policy's `deployHold`.\n\n"
        "Unknown is no verdict. A value is unknown without fresh samples (and where something is divided by zero); a "
        "criterion with a sign is, without a baseline. In a list a criterion that does not hold settles it whatever "
        'else is unknown, so `["<=+10%", "<0.02"]` fails at 0.03 without a baseline; otherwise the objective is '
        "unknown, and with it the whole, key objective or not, whatever the others are: it is told, and never rolled "
        "back. An objective without `pass` is for information and makes nothing unknown. A baseline is of the first "
        "event: `deploy_started`, or the first `pod_started` of a new version. Where `deployed` is the only one, it is "
        "of that moment, and may have something of the new version in it already, so have the start sent too. Of a "
        'baseline of 0 any rise is more than 10 %: `pass: [{criteria: ["<=+10%"]}, {criteria: ["<0.001"]}]` lets '
        "either do.\n\n"
        "What is rolled back to is the version that ran before the deploy; if that one failed, was rolled back from, "
        "or was overtaken before it was judged, the one before it; if none is known, nothing is done and people are "
        "told. A deploy is rolled back once at most, and a service has one rollback at a time, in which it is not "
        "scaled. What the rollback itself sends is not watched as a deploy; if it fails, people are told and it is not "
        "tried again. A deploy that begins while another is watched takes its place, with the baseline from before "
        "both. A version is watched again only when a new deploy of it was announced by `deploy_started`, or another "
        "version came between. If the policy changes meanwhile, the new words count, and a new expression has no "
        "baseline; if it is taken out of force, nothing is judged. A service that somebody paused is judged and not "
        "rolled back."
    ),
    "Route": (
        "Which deploys and changes go to which downstream service. Every event is published on RabbitMQ with what is "
        "known of the deployment, whether a Route is meant for it or not ([operations.md](operations.md)); a Route has "
        "workers do something about it. A load balancer gets the instances that the events have told of, as a whole "
        "set: during a deploy those of both versions, after it those of the new one. It is never emptied. What came "
        "twice or late is not sent."
    ),
}
"""What a page says of each kind."""

SCHEMA_LIMITS = {
    "minimum": "at least {}", "exclusiveMinimum": "above {}", "maximum": "at most {}", "exclusiveMaximum": "below {}",
    "minItems": "at least {}", "minLength": "at least {} letter",
}  # fmt: skip


def settings() -> Iterator[str]:
    yield "# Settings"
    yield (
        "All settings are environment variables. `app/settings.py` and `tasks/settings.py` are the only readers of "
        "the environment; `BROKER_URL` and `CELERY_BROKER_URL` change nothing. `headrace doctor` prints those of the "
        "stream side with their values and where each came from. An address set to nothing means: without that server."
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
        "a worker at `HEADRACE_WORKER_METRICS_PORT`; unset, neither does. Nothing is counted per sample."
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
    late = ", ".join(f"`{kind.value}` {EXPIRY_S[kind]} s" for kind in Kind)
    yield f"An action that waits longer than this after its decision is not done any more, and said so: {late}."


def policies() -> Iterator[str]:
    yield "# Policies"
    yield (
        "YAML files, many documents each if you like. `headrace policy validate FILE…` tells every mistake at once "
        "with its line and needs no server; `headrace policy apply FILE… -m WHY` puts the files in force in place of "
        "all that were before, and `headrace policy diff FILE…` shows what that would change. `headrace policy import "
        "FILE` prints Kubernetes' HorizontalPodAutoscalers as policies of kind Scale. Editors can check against "
        "[policy.schema.json](policy.schema.json), which `headrace policy schema` prints. Examples are in "
        "[examples/policies](../examples/policies)."
    )
    for kind, cls in KINDS.items():
        yield f"## Kind {kind}"
        yield ABOUT[kind]
        schema = cls.model_json_schema(by_alias=True)
        rows = ["| field | default | meaning |", "|---|---|---|", *_fields(schema, schema["$defs"], "")]
        yield "\n".join(rows)
    yield from _timelines()


def _timelines() -> Iterator[str]:
    yield "## Tests of policies"
    yield (
        "`headrace policy test FILE…` runs timelines against policies, without a server, in the manner of promtool; "
        "`--junit FILE` writes the results for a CI. Each scaling and each rollback that is decided is "
        "done at once. The notation of values is promtool's: `50x4` is 50 and four more, `50+5x4` each 5 higher, "
        "`_x3` three times none. Examples "
        "are in [examples/tests](../examples/tests)."
    )
    schema = TestFile.model_json_schema(by_alias=True)
    yield "\n".join(["| field | default | meaning |", "|---|---|---|", *_fields(schema, schema["$defs"], "")])


def _fields(schema: dict, defs: dict, path: str, above: tuple[dict, ...] = ()) -> Iterator[str]:
    """Rows of a JSON schema's properties, those within them below; an object within its like is shown once."""
    for name, field in schema["properties"].items():
        here = f"{path}.{name}" if path else name
        inner, suffix = _inner(field, defs)
        default = "needed" if name in schema.get("required", ()) else _default(_shown(field))
        if inner is not None:
            about = field.get("description") or inner.get("description", "")
            yield f"| `{here}{suffix}` | {'' if default != 'needed' else default} | {_cell(about)} |"
            if inner is not schema and inner not in above:
                yield from _fields(inner, defs, here + suffix, (*above, schema))
        else:
            yield f"| `{here}` | {default} | {_cell(f'{_about(field)} {_sentence(_limits(field))}'.strip())} |"


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
