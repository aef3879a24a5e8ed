"""What is wrong in a file that people wrote, as one would say it: pydantic's findings in plain sentences. Pure.

Called by `app.policy.files` and by the command line. A field that does not exist is told with the one that
was probably meant.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from pydantic import BaseModel, ValidationError

KINDS: Final = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "string": "a text",
    "list": "a list", "tuple": "a list", "dict": "a mapping", "model": "a mapping",
}  # fmt: skip
"""What a type of pydantic's is called, by the first word of the type of the finding."""

PLAIN: Final = {"missing": "is missing", "too_short": "is empty", "string_too_short": "is empty"}

LIMITS: Final = {
    "greater_than": ("gt", "above"), "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"), "less_than_equal": ("le", "at most"),
}  # fmt: skip

Path = tuple[int | str, ...]


def mistakes(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Path, str]]:
    """Where each mistake is, and what was expected there."""
    found = error.errors(include_url=False)
    for one in found:
        if one["type"] == "too_short" and any(_is_within(other["loc"], one["loc"]) for other in found):
            continue  # what is in it was left out as wrong: that is said there
        path = tuple(part for part in one["loc"] if not str(part).startswith("function-"))
        yield path, _sentence(dict(one), path, model)


def _is_within(place: Path, other: Path) -> bool:
    return len(place) > len(other) and place[: len(other)] == other


def _sentence(one: dict[str, Any], path: Path, model: type[BaseModel]) -> str:
    """A finding in words; those without words of their own are pydantic's."""
    kind = one["type"]
    if kind == "extra_forbidden":
        return _unknown(str(path[-1]), _fields(model, path[:-1]))
    if kind in PLAIN:
        return PLAIN[kind]
    expected = _expected(kind, one.get("ctx", {}))
    return f"is {_brief(one['input'])}, and {expected}" if expected else str(one["msg"]).removeprefix("Value error, ")


def _expected(kind: str, context: dict[str, Any]) -> str:
    """What a value should have been; empty if pydantic says it as well."""
    if kind in LIMITS:
        name, word = LIMITS[kind]
        return f"has to be {word} {context[name]}"
    if kind in {"literal_error", "enum"}:
        return f"not {context['expected']}"
    if kind == "string_pattern_mismatch":
        plain = re.fullmatch(r"\^([\w/]+)\$", context["pattern"])
        return f"not {plain[1]}" if plain else f"has to look like {context['pattern']}"
    first = kind.partition("_")[0]
    if kind.endswith(("_type", "_parsing", "_from_float")) and first in KINDS:
        return f"{KINDS[first]} was expected"
    return ""


def _unknown(name: str, fields: Sequence[str]) -> str:
    near = get_close_matches(name, fields, n=1, cutoff=0.6) or [one for one in fields if one.lower() == name.lower()]
    if near:
        return f"is no field here; did you mean {near[0]}?"
    return f"is no field here; there are {', '.join(fields)}" if fields else "is no field here"


def _fields(model: type[BaseModel], path: Path) -> list[str]:
    """The fields that there are at a place."""
    schema = _schema(model)
    here = [schema]
    for part in path:
        here = [step for one in here for step in _step(schema, one, part)]
    return sorted({name for one in here for each in _whole(schema, one) for name in each.get("properties", ())})


def _step(schema: dict[str, Any], one: dict[str, Any], part: int | str) -> Iterator[dict[str, Any]]:
    for each in _whole(schema, one):
        if isinstance(part, int):
            yield from (found for found in (each.get("items"),) if isinstance(found, dict))
        elif part in each.get("properties", ()):
            yield each["properties"][part]


def _whole(schema: dict[str, Any], one: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A place and whatever it may be instead, references followed."""
    if "$ref" in one:
        one = schema["$defs"][one["$ref"].rpartition("/")[2]]
    yield one
    for word in ("anyOf", "oneOf", "allOf"):
        for other in one.get(word, ()):
            yield from _whole(schema, other)


@lru_cache(maxsize=32)
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True)


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
