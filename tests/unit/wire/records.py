"""Raw records and rules for the tests of this directory."""

import json
import re

from app.wire.rules import Raw, Rules

NOW_MS = 1_700_000_000_000
RECORD_MS = NOW_MS - 5
RULES = Rules(4, re.compile(r"^(?P<service>.+?)-\d+$"), 60_000, NOW_MS)


def raws(*values):
    """Records at the offsets 0, 1, …; what is not bytes or None becomes JSON."""
    encoded = [value if isinstance(value, bytes | None) else json.dumps(value).encode() for value in values]
    return [Raw("topic", "id", 3, i, RECORD_MS, None, value) for i, value in enumerate(encoded)]
