"""The evidence of a decision as rows that people read: what each word of it is called, and what it says. Pure.

Called by `app.history.explain`, which has metrics, objectives and stages in lines of their own. A word
that is not known here is shown by its own name, with its value in plain words.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from app.history.rollouts import number
from app.history.words import counted, lasting, moment, plain

Evidence = Mapping[str, Any]

ELSEWHERE: Final = frozenset(
    {"current", "measured", "wanted", "held", "stabilized", "limited", "metrics", "recent", "objectives"}
    | {"baseline_ms", "baseline_at", "result", "total_score", "early", "failing"}
)
"""Words that are told in lines of their own, or together with another."""


def rows_of(evidence: Evidence) -> dict[str, str]:
    """Name → what it says; where it came from stands last."""
    rows: dict[str, str] = {}
    for word, value in evidence.items():
        if word in ELSEWHERE or word in _LAST or value in ("", [], {}, None):
            continue
        if word == "deploy":
            rows |= _deploy(evidence)
            continue
        name, say = _WORDS.get(word, (word.replace("_", " "), plain))
        if said := say(value):
            rows[name] = said
    if total := evidence.get("total_score"):
        rows["score"] = _score(evidence, total)
    return rows | {name: say(evidence[word]) for word, (name, say) in _LAST.items() if evidence.get(word)}


def calls(values: Mapping[str, Any]) -> str:
    """What each call of an expression came to."""
    return ", ".join(f"{call} = {plain(value)}" for call, value in values.items())


def _replicas(count: object) -> str:
    return counted(count, "replica")


def _ago(ms: float) -> str:
    return f"{lasting(ms)} before"


def _deploy(evidence: Evidence) -> dict[str, str]:
    """The deploy that a decision is about, and what it was compared with."""
    deploy = evidence["deploy"]
    where = f" in {deploy['environment']}" if deploy.get("environment") else ""
    back = f", would go back to {deploy['back_to']}" if deploy.get("back_to") else ""
    words = {"deploy": f"{deploy.get('version') or 'a version'}{where}{back}"}
    for name, field in (("began", "began_ms"), ("finished", "finished_ms")):
        if deploy.get(field, -1) >= 0:
            words[f"deploy {name}"] = moment(deploy[field])
    if evidence.get("baseline_ms"):
        words["baseline from"] = f"{moment(evidence['baseline_ms'])} ({evidence.get('baseline_at')})"
    return words


def _score(evidence: Evidence, total: Mapping[str, float]) -> str:
    row = " in a row, so the window was not waited for" if evidence.get("early") else ""
    times = f", failed {evidence.get('failing')} times" if evidence.get("failing", 0) > 1 else ""
    return (
        f"{evidence['score']:g} of 100 ({total['pass']:g} passes, {total['warning']:g} is a warning): "
        f"{evidence['result']}{times}{row}"
    )


def _baseline(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{sli} {number(value)}" for sli, value in values.items())


def _command(word: Mapping[str, Any]) -> str:
    """A person's word, with its author, reason and end."""
    until = f"until {moment(word['until_ms'])}" if word.get("until_ms") else "until it is taken back"
    way = "" if word.get("direction", "both") == "both" else f", only scaling {word['direction']}"
    return f"by {word.get('author') or 'somebody'} {until}{way}: {word.get('reason') or 'no reason given'}"


def _schedule(found: Mapping[str, Any]) -> str:
    """The windows that are open, and the limits that come of them."""
    windows = [f"{one['name']} until {moment(one['until_ms'])}" for one in found["windows"]]
    return f"{', '.join(windows)}: {found['minReplicas']} to {found['maxReplicas']} replicas"


def _doubt(found: Mapping[str, list[str]]) -> str:
    names = {"warming": "still warming up", "left_out": "beyond the wanted count during the deploy"}
    return "; ".join(f"{plain(some)} ({names[word]})" for word, some in found.items())


def _crashing(found: Mapping[str, Any]) -> str:
    return f"{plain(found['failing'])} of version {found['version']}"


def _flapping(found: Mapping[str, Any]) -> str:
    return f"{', '.join(map(moment, found['turns_ms']))}; scale-downs wait until {moment(found['until_ms'])}"


def _active(active: object) -> str:
    said = {True: "a metric is above its activation", False: "no metric is above its activation"}
    return said[active] if isinstance(active, bool) else "unknown"


def _alerts(found: list[Mapping[str, Any]]) -> str:
    """The alerts of a message, each with what it came to."""
    return "; ".join(f"{one['alert']} since {moment(one['since_ms'])} ({calls(one['values'])})" for one in found)


_WHY: Final = {
    "new": "an alert fires that they do not know of yet",
    "resolved": "an alert is over that they were told of",
    "repeated": "it still fires, and `repeat_interval` has passed",
}
_UNTOLD: Final = {"firing": "that it fires", "repeated": "again that it fires", "resolved": "that it is over"}

_WORDS: Final[dict[str, tuple[str, Callable[[Any], str]]]] = {
    "at_ms": ("event's time", moment), "baseline": ("baseline", _baseline), "conditions": ("conditions", plain),
    "failed": ("no data of", "; ".join), "active": ("activation", _active), "schedule": ("schedule", _schedule),
    "paused": ("paused", _command), "silenced": ("silenced", _command), "doubt": ("not believed", _doubt),
    "crashing": ("crashing", _crashing), "flapping": ("direction turned", _flapping),
    "scaled_ms_ago": ("last scaling", _ago), "missing_ms": ("data missing for", lasting),
    "pending": ("under way", "action {}".format), "highest": ("highest wish", _replicas),
    "expr": ("expression", str), "values": ("came to", calls), "why": ("told because", lambda why: _WHY.get(why, why)),
    "untold": ("not told", lambda what: _UNTOLD.get(what, what)), "firing": ("firing", _alerts),
    "resolved": ("resolved", _alerts), "inhibited_by": ("inhibited by", "alert {}".format),
    "muted_by": ("muted by", "time interval {}".format), "active_only_in": ("told only in", plain),
    "decision": ("goes with", "decision {}".format), "event_decision": ("published as", "decision {}".format),
    "first": ("came first as", "decision {}".format), "newer": ("overtaken by", str), "deed": ("then", str),
    "kept": ("series kept", str), "refused": ("samples refused", str), "status": ("rollback", str),
}  # fmt: skip
"""Word of the evidence → what the row is called, and its value in words."""

_LAST: Final[dict[str, tuple[str, Callable[[Any], str]]]] = {
    "sample_at_ms": ("newest sample", moment), "source": ("source record", str), "fact": ("journal record", str)
}  # fmt: skip
