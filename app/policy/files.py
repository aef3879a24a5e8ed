"""Policy files: YAML texts in, checked documents out, every mistake told at once.

Called by the command line (which reads the files) and by the intake's control format (which
refuses a set that is not right). Reads no file itself.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from app.policy.facts import PolicyDocument
from app.policy.kinds import KINDS, Policy
from app.policy.mistakes import mistakes
from app.policy.model_autoscaler import AutoscalerPolicy
from app.policy.together import discords


@dataclass(frozen=True)
class Problem:
    """One mistake: where it is and what was expected. Lines count from 1."""

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.path + ': ' if self.path else ''}{self.message}"


class PolicyError(Exception):
    """Policies that cannot be put in force, with every mistake in them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = list(problems)


def load(texts: Mapping[str, str]) -> list[PolicyDocument]:
    """The policies in some files (name → YAML, one or many documents each), in the order of their names.

    Raises PolicyError with every mistake in all of the files.
    """
    problems: list[Problem] = []
    found: dict[str, tuple[PolicyDocument, str, int]] = {}
    written: dict[str, CommentedMap] = {}
    for file, text in texts.items():
        for document in _documents(file, text, problems):
            checked = _checked(file, document, problems)
            if checked is None:
                continue
            line = document.lc.line + 1
            if checked.name in found:
                _, other, at = found[checked.name]
                problems.append(Problem(file, line, "metadata.name", f"{checked.name!r} is taken by {other}:{at}"))
            found[checked.name], written[checked.name] = (checked, file, line), document
    for name, path, message in discords([one for one, _, _ in found.values()]):
        problems.append(Problem(found[name][1], _line(written[name], path), ".".join(path), message))
    if problems:
        raise PolicyError(sorted(problems, key=lambda one: (one.file, one.line)))
    return [found[name][0] for name in sorted(found)]


def fingerprint(policies: Sequence[PolicyDocument]) -> str:
    """Fingerprint of a set: the same policies give the same, in whatever order and layout they were written."""
    return _digest(sorted(policy.fingerprint for policy in policies))


def document_of(plain: dict[str, Any]) -> PolicyDocument:
    """A checked document from plain data; raises `pydantic.ValidationError`."""
    policy = _model(plain).model_validate(plain)
    return PolicyDocument(policy.kind, policy.metadata.name, _digest(plain), plain)


def compiled(document: PolicyDocument) -> Policy:
    """The policy in a document, made once for each fingerprint."""
    policy = _compiled.get(document.fingerprint)
    if policy is None:
        made = _model(document.document).model_validate(document.document)
        policy = made.as_scale() if isinstance(made, AutoscalerPolicy) else made
        _compiled[document.fingerprint] = policy
    return policy


_compiled: dict[str, Policy] = {}


def _model(plain: Mapping[str, Any]) -> type[Policy] | type[AutoscalerPolicy]:
    return KINDS.get(str(plain.get("kind")), KINDS["Scale"])


def _documents(file: str, text: str, problems: list[Problem]) -> Iterable[CommentedMap]:
    try:
        documents = list(YAML(typ="rt").load_all(text))
    except YAMLError as error:
        problems.append(no_yaml(file, error))
        return
    except ValueError as error:  # a date that there is not, a number of too many digits
        problems.append(Problem(file, 1, "", f"has a value that cannot be read: {error}"))
        return
    for document in documents:
        if isinstance(document, CommentedMap):
            yield document
        elif document is not None:
            line = getattr(getattr(document, "lc", None), "line", 0) + 1
            problems.append(
                Problem(file, line, "", "a document must be a mapping with apiVersion, kind, metadata, spec")
            )


def no_yaml(file: str, error: YAMLError) -> Problem:
    """What is wrong with a text that is no YAML, and where."""
    if not isinstance(error, MarkedYAMLError):
        return Problem(file, 1, "", "is no YAML: it has characters that no text has")
    mark = error.problem_mark or error.context_mark
    return Problem(file, mark.line + 1 if mark else 1, "", f"is no YAML: {error.problem}")


def wrong(file: str, document: CommentedMap, error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """The mistakes in a document, each with its line."""
    found = mistakes(error, model)
    return [Problem(file, _line(document, path), ".".join(map(str, path)), message) for path, message in found]


def _checked(file: str, document: CommentedMap, problems: list[Problem]) -> PolicyDocument | None:
    plain = _plain(document)
    if not isinstance(plain.get("kind"), str) or plain["kind"] not in KINDS:
        expected = " or ".join(KINDS)
        problems.append(Problem(file, _line(document, ("kind",)), "kind", f"is {plain.get('kind')!r}, not {expected}"))
        return None
    try:
        return document_of(plain)
    except ValidationError as error:
        problems += wrong(file, document, error, _model(plain))
        return None


def _line(document: CommentedMap, path: tuple[int | str, ...]) -> int:
    """Line of the deepest part of the path that is there."""
    node: Any = document
    line = document.lc.line
    for part in path:
        try:
            line = node.lc.item(part)[0] if isinstance(node, CommentedSeq) else node.lc.key(part)[0]
            node = node[part]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return int(line) + 1


def _plain(node: Any) -> Any:
    """Plain data of ruamel's round-trip nodes."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return str(node)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]
