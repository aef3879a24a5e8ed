"""The same questions answered by plain Python: dictionaries and lists, and nothing that the engine promises beside.

No evidence, ids, marks of what was seen, pauses, deploys, pending scalings, late samples, states to write: the least
that gives the same answers, so that what the rest costs can be read as a ratio.
"""

import math

import msgspec

from app.policy.windows import BUCKETS, width_for

WIDTH_MS = width_for(300_000)


class Plain:
    """Folds packs; `wishes` and `firing` are what was asked last."""

    def __init__(self, targets, *, alerts=False, windows=True, replicas=3, most=4):
        self.targets, self.alerts, self.windows = targets, alerts, windows
        self.replicas, self.most = replicas, most
        self.newest = {}
        self.buckets = {}
        self.wishes = {}
        self.firing = {}

    def fold(self, raw):
        """The newest value of each series, and buckets of five minutes."""
        pack = msgspec.json.decode(raw)
        series = [(one[0], one[1], tuple(one[2].items())) for one in pack["series"]]
        for index, at_ms, value in zip(pack["index"], pack["at_ms"], pack["value"], strict=True):
            service, _, labels = series[index]
            self.newest.setdefault(service, {})[labels] = value
            if self.windows:
                self._bucket(self.buckets.setdefault(service, {}).setdefault(labels, {}), at_ms, value)

    @staticmethod
    def _bucket(kept, at_ms, value):
        place = at_ms // WIDTH_MS
        bucket = kept.get(place)
        if bucket is None:
            kept[place] = [1, value, value]
            for old in [one for one in kept if one < place - BUCKETS]:
                del kept[old]
        else:
            bucket[0] += 1
            bucket[1] += value
            bucket[2] = max(bucket[2], value)

    def ask(self, now_ms):
        """Utilization against each target, rounded as Kubernetes does; and of two alerts whether they are true."""
        for service, values in self.newest.items():
            count = len(values)
            percent = sum(round(one * 1000) for one in values.values()) * 100 // (count * 100_000)
            for name, target in self.targets.items():
                ratio = percent / target
                near = 0.9 <= ratio <= 1.1
                wish = self.replicas if near else math.ceil(ratio * count)
                self.wishes[service, name] = max(1, min(self.most, wish))
            if self.alerts:
                self._alerts(service, now_ms)

    def _alerts(self, service, now_ms):
        minute, whole = (now_ms - 60_000) // WIDTH_MS, (now_ms - 300_000) // WIDTH_MS
        count, total, most = 0, 0.0, 0.0
        for kept in self.buckets[service].values():
            for place, bucket in kept.items():
                if place >= minute:
                    count += bucket[0]
                    total += bucket[1]
                if place >= whole:
                    most = max(most, bucket[2])
        self.firing[service, "mean"] = total / count > 70.0
        self.firing[service, "most"] = most > 88.9
