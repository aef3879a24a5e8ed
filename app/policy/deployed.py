"""What the engine remembers of a service's deploys. Plain data, part of `app.policy.state`.

`app.policy.release` and `app.policy.attempt` fold events into it; `app.policy.rollout` judges by it.
"""

import msgspec


class Pod(msgspec.Struct, array_like=True):
    """An instance as deploy events tell of it; one that has stopped, or said no address, has none (`IP:port`).

    `at_ms` is when it started, or stopped, by its sender's clock; `stopped_ms` when it stopped last with
    this version (-1: never).
    """

    address: str
    version: str
    at_ms: int
    stopped: bool = False
    stopped_ms: int = -1


class About(msgspec.Struct, array_like=True):
    """What was said of one version: by whom it was made and where to read of it."""

    commit: str = ""
    team: str = ""
    who: str = ""
    link: str = ""


class Attempt(msgspec.Struct, array_like=True):
    """The newest deploy, from its first event on, by the journal's time (`finished_ms` -1: not yet, or never).

    `over`: it failed by its own word, or is a rollback that somebody made. `back_to` is the version that is
    run again if it is no good (empty: none is known to be), `overtaken` are versions whose deploys it overtook
    before they were finished or judged, `undone` is the decision that rolled it back. `failed`:
    a verdict on it did; `stalled`: that it does not finish was told.
    """

    version: str
    began_ms: int
    finished_ms: int = -1
    over: bool = False
    back_to: str = ""
    overtaken: list[str] = []
    undone: str = ""
    failed: bool = False
    stalled: bool = False


class Release(msgspec.Struct, array_like=True):
    """What deploy events have told of a service in one environment.

    `version` was finished last, at `at_ms` by its sender's clock, and replaced `previous`; `announced`
    is under way since `since_ms` of the journal, and `begun_ms` by its sender's clock (empty and -1: none).
    `abouts` are of the newest versions, `generation` is of the last wish for a load balancer. `attempt` is the
    newest deploy, `bad` are the newest versions that failed or were rolled back from.
    """

    version: str = ""
    previous: str = ""
    at_ms: int = -1
    announced: str = ""
    since_ms: int = -1
    abouts: dict[str, About] = {}
    pods: dict[str, Pod] = {}
    generation: int = 0
    begun_ms: int = -1
    attempt: Attempt | None = None
    bad: list[str] = []


class Undone(msgspec.Struct, array_like=True):
    """The last rollback of a service that was decided, and what became of it.

    Until `until_ms` its outcome is waited for (`status` empty: none yet). `receiver` is told of it in the name
    of `policy`; `said` is what was said last.
    """

    id: str
    environment: str
    from_version: str
    to_version: str
    until_ms: int
    policy: str = ""
    receiver: str = ""
    status: str = ""
    detail: str = ""
    said: str = ""


class Watch(msgspec.Struct, array_like=True):
    """A deploy that one policy watches in one environment, until it is judged.

    `baselines` are what each expression came to before it, at `baseline_ms`, when it was `baseline_at` (the
    word of an event). Not `announced`: an instance of the version was seen, and nobody has spoken of a deploy.
    `failing` counts judgements in a row that failed; `stalled`: that it does not finish was told.
    """

    version: str
    began_ms: int
    baseline_at: str
    baseline_ms: int
    baselines: dict[str, float | None] = {}
    announced: bool = True
    finished_ms: int = -1
    judged_ms: int = -1
    failing: int = 0
    stalled: bool = False
    shadow: bool = False
    fingerprint: str = ""

    @property
    def holds(self) -> bool:
        """Whether fewer replicas wait for its verdict."""
        return self.announced and not self.shadow and not self.stalled


class Recent(msgspec.Struct, array_like=True):
    """A deploy or a change that happened a while ago, and the decision that tells of it."""

    at_ms: int
    what: str
    who: str
    link: str
    id: str
