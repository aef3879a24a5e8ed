"""What docs/policies.md says of each kind of policy before its table of fields. Used by `tests.docs`."""

INTRODUCTION = """\
YAML files, many documents each if you like. `headrace policy validate FILE…` tells every mistake at once with its line
and needs no server. `headrace policy apply FILE… -m WHY` puts the files in force in place of all that were before, and
`headrace policy diff FILE…` shows what that would change, field by field; `headrace policy list` shows what was
handed over last. `headrace policy import FILE` prints Kubernetes' HorizontalPodAutoscalers as policies of kind Scale.

Editors can check against [policy.schema.json](policy.schema.json), which `headrace policy schema` prints. Policies to
start from are in [examples/policies](../examples/policies); the examples below are taken from there, and each of them
has timelines that test it in [examples/tests](../examples/tests). Durations are written `30s`, `5m` or `1h30m`,
quantities `100`, `250m` or `1.5k`.\
"""

SCALE = """\
How many replicas a service has, in the words, with the arithmetic and in the order of Kubernetes'
HorizontalPodAutoscaler. Each metric asks for `replicas * (what it is / what it should be)`, rounded up; the largest
counts, and within the tolerance it is no change. Then come the stages, each of which can only weaken the wish: the hold
(`for`), the stabilization windows, and how fast and how far may be scaled. `headrace explain ID` shows the number after
each. A sample of a Resource is a percentage where nobody says what an instance requests.

What Kubernetes lacks:

- A series may count by an aggregate of a window (`over`, `aggregate`) instead of by its newest sample.
- An Expression is a number computed in CEL from several metrics, with the calls that an Alert has.
- Steps step by the range that a metric is in. A step is counted from the replicas there are, so samples from before the
  last scaling do not count, and `cooldown` is needed for the time that the metric takes to follow.
- A Backlog asks for the smallest number of workers that has all that waits done within its deadline,
  `(waiting / deadline + inflow) / perReplica`, shared evenly by the partitions. More come at once; there are fewer only
  if those could do more than is needed by the tolerance.
- `schedules` change the limits at some hours, `fallback` says what to do when metrics are missing for long, and
  `warmup`, `deployHold` and `flapping` what is not to be believed: new instances, a deploy under way, a load that
  swings.

A policy with Steps or a Backlog and without a `behavior` scales in one jump, and its windows hold back without bringing
back what was asked for once and not done. What is known in part, like the rate of some of the series that are added up,
may ask for more and never for less. Of several policies for one service the highest wish is done. A service that
somebody paused (`headrace pause`) is left as it is.\
"""

AUTOSCALER = """\
A document of `autoscaling/v2` as it is, if it names its metrics and none is of type ContainerResource. The workload's
name is the service; it is looked at every 15 s and decides exactly as Kubernetes' own controller does on the same
numbers, reasons of the conditions included. What is decided is done by the driver `kubernetes` on the workload that it
names ([operations.md](operations.md#kubernetes)), so take the document out of the cluster: two that scale one workload
fight.\
"""

ALERT = """\
What people have to know, in Prometheus' words and states: pending, firing, over. `expr` is [CEL](https://cel.dev) over
windows of the service's series:

- `avg`, `min`, `max`, `sum`, `count` and `rate` take a metric and a window: `avg("cpu", "1m")`;
- `quantile` takes a share between them: `quantile("latency_ms", 0.99, "5m")`;
- `last` and `absent` take a metric, `ratio` two numbers, `replicas()` nothing;
- a metric may have matchers: `rate("requests{code='500'}", "5m")`.

Names, windows and shares are literals, and all numbers doubles, so write `90.0`. Divide by a number, or with `ratio`,
which is unknown where the second is 0. A window is exact to an eighteenth of
the longest that is asked of its metric, and an hour at most. What no policy asks of a metric is not kept: the first to
ask for its `max` gets that of the samples since, and the first to ask for a longer window begins it anew. What cannot
be said, because data are missing, is unknown: it neither fires nor resolves, and is told as such.

When it begins to fire, `then` may also scale by a step, roll back, build or call a webhook: once, and what is refused
is not made up for later. Who is told is said by `then.notify`, or else by the routes of kind Alerting.\
"""

ALERTING = """\
Who is told of which alerts, in [Alertmanager](https://prometheus.io/docs/alerting/)'s words: a tree of routes with
matchers and receivers, waits and repeats, inhibition, and intervals in which nobody is told. A set of policies has one
such document at most. The alerts of one service are told together, those of several services are not. Silences are
commands: `headrace silence`. What is inhibited, muted or silenced is recorded with its reason, and told when nothing
stands against it any more, if it still fires then.\
"""

ROLLOUT = """\
A deploy watched and judged, in the words of Keptn's quality gates.

**How it is judged.** From its first event on, what each objective comes to is the baseline; after it finished, and
settled, its objectives are judged every `every`, and at the end of the `window` for good. Each passes, is worth a
warning (half its weight) or fails; the score is the share of the weights in percent; a key objective that fails fails
all of it. Judged is what came after the deploy finished, by samples as by windows. Fewer replicas wait for the verdict,
at most for the Scale policy's `deployHold`.

**Unknown is no verdict.** A value is unknown without fresh samples, and where something is divided by zero; a criterion
with a sign is, without a baseline. In a list a criterion that does not hold settles it whatever else is unknown, so
`["<=+10%", "<0.02"]` fails at 0.03 without a baseline. Otherwise the objective is unknown, and with it the whole, key
objective or not, whatever the others are: it is told, and never rolled back. An objective without `pass` is for
information and makes nothing unknown.

**The baseline** is of the first event: `deploy_started`, or the first `pod_started` of a new version. Where `deployed`
is the only one, it is of that moment, and may have something of the new version in it already, so have the start sent
too. Of a baseline of 0 any rise is more than 10 %: `pass: [{criteria: ["<=+10%"]}, {criteria: ["<0.001"]}]` lets either
do.

**What it is rolled back to** is the version that ran before the deploy; if that one failed, was rolled back from, or
was overtaken before it was judged, the one before it; if none is known, nothing is done and people are told. A deploy
is rolled back once at most, and a service has one rollback at a time, in which it is not scaled. What the rollback
itself sends is not watched as a deploy; if it fails, people are told and it is not tried again. A service that somebody
paused in both directions is judged and not rolled back.

**Deploys that overlap.** A deploy that begins while another is watched takes its place, with the baseline from before
both. A version is watched again only when a new deploy of it was announced by `deploy_started`, or another version came
between. If the policy changes meanwhile, the new words count, and a new expression has no baseline; if it is taken out
of force, nothing is judged.\
"""

ROUTE = """\
Which deploys and changes go to which downstream service. Every event is published on RabbitMQ with what is known of the
deployment, whether a Route is meant for it or not ([operations.md](operations.md)); a Route has workers do something
about it. A load balancer gets the instances that the events have told of, as a whole set: during a deploy those of both
versions, after it those of the new one. It is never emptied. What came twice or late is not sent.\
"""

TIMELINES = """\
`headrace policy test FILE…` runs timelines against policies, without a server, in the manner of promtool; a directory
stands for its files, and `--junit FILE` writes the results for a CI. Each scaling and each rollback that is decided is
done at once, unless `actuator` says otherwise. The notation of values is promtool's: `50x4` is 50 and four more,
`50+5x4` each 5 higher, `_x3` three times none.\
"""

ABOUT = {
    "Scale": SCALE,
    "HorizontalPodAutoscaler": AUTOSCALER,
    "Alert": ALERT,
    "Alerting": ALERTING,
    "Rollout": ROLLOUT,
    "Route": ROUTE,
}
"""What the page says of each kind."""

EXAMPLES = {
    "Scale": "queue.yaml",
    "HorizontalPodAutoscaler": "kubernetes.yaml",
    "Alert": "alerts.yaml",
    "Alerting": "error-budget.yaml",
    "Rollout": "rollout.yaml",
    "Route": "deploys.yaml",
}
"""The file of examples/policies of which the first document of a kind is shown."""

TIMELINE = "queue.yaml"
"""The file of examples/tests that is shown."""
