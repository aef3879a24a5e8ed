"""`headrace replay --csv`: a public trace as a journal, for policies that ask for it.

Called by `app.cli.replay`. A slip of the pen in a name is told, since it would be a replay without a decision.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import typer

from app.cli.errors import Failure
from app.cli.printing import remark
from app.cli.reading import opened
from app.cli.times import duration_ms
from app.history.csv_trace import Trace, about, apart_ms, checked, read, tick_for
from app.history.journal import Journal
from app.history.recorded import Stretch
from app.policy.facts import PolicyDocument, PolicySet, Series, Source
from app.policy.files import compiled, fingerprint
from app.policy.fold import fold_policies, meant_for, read_by_policies
from app.policy.model_alerting import AlertingSpec
from app.policy.state import State, empty


def series_of(service: str | None, metric: str | None, labels: Sequence[str]) -> Series:
    """The series that a CSV is of; wrong usage if it is not said."""
    if not service or not metric:
        raise typer.BadParameter("--csv needs --service and --metric: what the values are of")
    pairs = [label.partition("=")[::2] for label in labels]
    if wrong := [label for label, (name, _) in zip(labels, pairs, strict=True) if not name or "=" not in label]:
        raise typer.BadParameter(f"{wrong[0]!r} is no label; write it like queue=mail")
    return Series(service, metric, dict(pairs))


def csv_file(
    file: Path, series: Series, replicas: int | None, tick: str | None, policies: Sequence[PolicyDocument]
) -> Stretch:
    """The journal that a CSV stands for, and on stderr what was read; raises Failure if no policy asks for it."""
    tick_ms = duration_ms(tick) if tick else None
    if tick_ms == 0:
        raise typer.BadParameter("a --tick is longer than 0s")
    state = empty(0)
    fold_policies(state, PolicySet(Source("", "", 0, 0, 0), fingerprint(policies), list(policies), "", "", 0))
    _asked_for(series, state)
    with opened(file) as (lines, name):
        rows = read(io.TextIOWrapper(lines, encoding="utf-8-sig", errors="replace", newline=""), name)
    trace = checked(Trace(rows, series, replicas, tick_ms or tick_for(rows)), name)
    remark(about(trace))
    _too_rare(trace, state)
    return Stretch({0: (0, len(trace))}, Journal(records=trace), 0)


def _asked_for(series: Series, state: State) -> None:
    wanted = read_by_policies(state, series.service)
    if series.name in wanted:
        return
    if wanted:
        raise Failure(f"no policy for {series.service} reads {series.name}; they read {', '.join(sorted(wanted))}")
    meant = sorted({spec.service for one in state.policies if not isinstance(spec := compiled(one).spec, AlertingSpec)})
    raise Failure(f"no policy that reads metrics is meant for {series.service}; they are for {', '.join(meant)}")


def _too_rare(trace: Trace, state: State) -> None:
    """Say so where the series would be missing between any two of its rows."""
    mean_s = apart_ms(trace.rows) / 1000
    meant = meant_for(state, trace.series.service)
    stale_s = {one.metadata.name: one.spec.stale_s for one in meant.scales}
    stale_s |= {one.metadata.name: one.spec.stale_s for one in meant.alerts}
    for name, longest_s in stale_s.items():
        if longest_s < mean_s:
            remark(
                f"rows are {mean_s:g} s apart, and policy {name} takes a series for missing after "
                f"{longest_s:g} s (`stale`)"
            )
