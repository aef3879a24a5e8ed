"""docs/policies.md says everything of every field, and shows each kind as a policy that can be put in force."""

import re

import pytest

from app.policy.files import load
from app.policy.kinds import KINDS
from tests.docs import page

PAGE = page("policies")
PARTS = dict(zip(*[iter(re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))


def test_every_field_has_a_default_and_a_meaning():
    rows = re.findall(r"^\| `(\S+)` \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(rows) > 300
    assert [field for field, default, meaning in rows if not (default.strip() and meaning.strip())] == []
    assert len(rows) == sum(line.startswith("| `") for line in PAGE.splitlines())


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_shown_by_a_policy_that_is_right(kind):
    (shown,) = re.findall(r"```yaml\n(.*?)```", PARTS[f"Kind {kind}"], re.DOTALL)
    (policy,) = load({"shown.yaml": shown})
    assert policy.kind == kind
    assert len(shown.splitlines()) < 45


def test_a_word_that_can_be_one_of_a_few_names_them():
    assert "`spec.mode` | `active` | active: decides and acts. shadow:" in PARTS["Kind Scale"]
    assert "One of `pause`, `resume`, `silence`, `unsilence`." in PARTS["Tests of policies"]
    assert "| `spec.for` | by field |" in PARTS["Kind Scale"]
