"""`headrace demo`: the main job on real servers, in about a minute, and what came of it.

It finds or starts servers, runs `headrace up`, drives a simulated fleet, breaks a worker on
purpose, and counts. It exits with 1 if anything that it promises did not happen. Nothing in the
product knows that it is a demo.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import typer

from app.cli.errors import FINDINGS, Failure
from app.cli.live import Screen
from app.local import install, ports, servers
from app.local.downstream import SERVICE, Downstream
from app.local.fleet import Fleet
from app.local.haproxy import HAProxy
from app.local.sabotage import Sabotage
from app.local.story import SECRET, Story
from app.local.verdict import Run, promises, summary
from app.local.watch import Watch
from app.queue import topology
from app.settings import Settings
from app.stream import client, topics

BAD = (b"not json", b'{"cpu": 1}', b'{"host": "web-01", "cpu": "hot"}')
SETTLE_S = 20.0


def demo(
    seconds: float = typer.Option(60.0, "--seconds", min=45, help="How long the fleet is driven."),
    keep: bool = typer.Option(False, "--keep", help="Leave everything running until Ctrl-C."),
) -> None:
    """Show the main job on real servers, in about a minute."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is ended
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-demo-")))
        screen = stack.enter_context(Screen())
        found, settings, env = _servers(stack, place, screen)
        downstream = stack.enter_context(Downstream(place, settings.rabbitmq_url, _haproxy(settings, place, screen)))
        watch = stack.enter_context(Watch(settings, screen.event))
        stack.enter_context(_up(env, place, screen))
        fleet = stack.enter_context(Fleet(settings))
        _apply(env, place, downstream)
        screen.say(f"the fleet is driven for {seconds:.0f} s; it took {time.monotonic() - began:.0f} s to get here")
        story = Story(_page(env), downstream.addresses, found.rabbitmq, screen.say, fleet.deploy)
        run = Run(watch, fleet, downstream, Sabotage(settings.redis_url, "web"), story)
        _drive(run, settings, seconds, screen)
        run.reached = downstream.requests()
        run.replay = _headrace(env, "replay").splitlines()[0]
        screen.close()
        _report(run, place, env, keep=keep)
        broken = [sentence for sentence, kept in promises(run) if not kept]
        if keep:
            _wait()
    if broken:
        typer.echo("\nPromised and not seen:", err=True)
        for sentence in broken:
            typer.echo(f"  {sentence}", err=True)
        raise typer.Exit(FINDINGS)


def policies() -> Path:
    """Where the example policies are: in the checkout, or beside the package where it is installed."""
    checkout = Path(__file__).parents[2] / "examples" / "policies"
    return checkout if checkout.exists() else Path(__file__).parents[1] / "local" / "policies"


def _haproxy(settings: Settings, place: Path, screen: Screen) -> HAProxy | None:
    """A load balancer, if there can be one here."""
    if servers.had(HAProxy, settings, screen.say):
        return HAProxy(place / "servers", [SERVICE])
    screen.say(f"no HAProxy here (`{install.command(HAProxy.missing())}` as root): the deploy goes without one")
    return None


def _page(env: dict[str, str]) -> str:
    return f"http://{ports.HOST}:{env['HEADRACE_GATEWAY_PORT']}/"


def _servers(stack: ExitStack, place: Path, screen: Screen) -> tuple[servers.Servers, Settings, dict[str, str]]:
    """Servers, topics and queues; the settings and the environment that lead to them."""
    began = time.monotonic()
    found = servers.start(place / "servers", say=screen.say)
    stack.callback(found.kill)
    what = [f"{server.title} ({'ours' if name in found.own else 'given'})" for name, server in found.own.items()]
    screen.say(f"{', '.join(what) or 'the servers given by HEADRACE_…_URL'} in {time.monotonic() - began:.0f} s")
    env = {
        **os.environ,
        **found.env,
        "HEADRACE_PARTITIONS": "4",
        "HEADRACE_LEASE_S": "5",
        "HEADRACE_DATADIR": str(place / "faust"),
        "HEADRACE_LOG_JSON": "true",
        "HEADRACE_TARGETS_FILE": str(place / "targets.toml"),
        "HEADRACE_GATEWAY_PORT": str(ports.free()[0]),
        "HEADRACE_GITHUB_SECRETS": SECRET,
        "HEADRACE_SPOOL": str(place / "spool.db"),
        "HEADRACE_BUILD_DIR": str(place / "builds"),
        "HEADRACE_BUILD_COMMAND": 'echo "$HEADRACE_REPO@$HEADRACE_COMMIT" > artifact',
    }
    settings = Settings(
        kafka_url=found.kafka_url,
        rabbitmq_url=found.rabbitmq_url,
        rabbitmq_api=env.get("HEADRACE_RABBITMQ_API", ""),
        redis_url=found.redis_url,
        partitions=4,
    )
    topics.init(settings)
    topology.init(settings)
    return found, settings, env


@contextmanager
def _up(env: dict[str, str], place: Path, screen: Screen) -> Iterator[None]:
    """`headrace up` with two workers, ended with the block."""
    log = place / "up.log"
    command = [sys.executable, "-m", "app.cli", "up", "--workers", "2"]
    with log.open("wb") as out:
        up = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)  # noqa: S603
    try:
        _until(lambda: up.poll() is not None or log.read_text().count(" ready.") >= 2, 60)  # both workers
        if up.poll() is not None:
            raise Failure(f"`headrace up` ended with {up.returncode}: {log.read_text()[-500:]}")
        screen.say("`headrace up` runs: one Faust worker with three apps, two Celery workers, the gateway")
        screen.say(f"the incident page: {_page(env)}")
        yield
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(60)


def _apply(env: dict[str, str], place: Path, downstream: Downstream) -> None:
    files = [str(policies() / f"{name}.yaml") for name in ("web", "api", "worker", "deploys")]
    if downstream.haproxy is None:
        lines = Path(files.pop()).read_text(encoding="utf-8").splitlines()
        (place / "deploys.yaml").write_text("\n".join(line for line in lines if "loadBalancer" not in line))
        files.append(str(place / "deploys.yaml"))
    _headrace(env, "policy", "apply", *files, "-m", "demo")


def _headrace(env: dict[str, str], *arguments: str) -> str:
    """Run the command as a user would; what it printed. Raises Failure if it found something wrong."""
    command = [sys.executable, "-m", "app.cli", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise Failure(f"`headrace {' '.join(arguments)}` ended with {done.returncode}: {done.stdout}{done.stderr}")
    return (done.stdout + done.stderr).strip()


def _drive(run: Run, settings: Settings, seconds: float, screen: Screen) -> None:
    """Let the fleet run; send bad input; kill the worker that holds a scaling of `web`."""
    began = time.monotonic()
    client.send(settings, [client.Outgoing("metrics", value) for value in BAD])
    run.sent_bad = len(BAD)
    run.sabotage.prepare()
    while (at_s := time.monotonic() - began) < seconds:
        if run.sabotage.victim is None and (victim := run.sabotage.strike()):
            screen.say(f"KILLED worker {victim.pid} with SIGKILL while it held action {victim.action_id}")
        screen.fleet(run.fleet.seen, at_s)
        run.story.go_on(at_s)
        for failure in (run.fleet.failure, run.watch.failure, run.story.failure):
            if failure is not None:
                raise failure
        time.sleep(0.1)
    screen.say("waiting for the last actions to end")
    run.story.finish(SETTLE_S)
    _until(lambda: "under way" not in {status for _, status in run.watch.tally.by_kind()}, SETTLE_S)
    _until(lambda: len(run.builds) == len(set(run.story.deliveries)), SETTLE_S)


def _until(condition: Callable[[], bool], longest_s: float) -> None:
    deadline = time.monotonic() + longest_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def _report(run: Run, place: Path, env: dict[str, str], *, keep: bool) -> None:
    typer.echo("\nWhat happened")
    for name, value in summary(run):
        typer.echo(f"  {name:<22} {value}")
    if keep:
        ours = {
            key: value for key, value in env.items() if key.startswith("HEADRACE_") and os.environ.get(key) != value
        }
        (place / "env").write_text("".join(f"export {key}={shlex.quote(value)}\n" for key, value in ours.items()))
        typer.echo(f"\nGo on in another terminal, after `. {place / 'env'}`:")
    else:
        typer.echo("\nGo on with `headrace demo --keep` and, in another terminal:")
    first = next((key for key, one in run.watch.tally.actions.items() if "metrics" in one.evidence), "ID")
    for command in ("headrace timeline web", f"headrace explain {first}", "headrace replay", "headrace quarantine"):
        typer.echo(f"  {command}")


def _wait() -> None:
    typer.echo("\nEverything is left running; Ctrl-C ends it.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        typer.echo("ending")
