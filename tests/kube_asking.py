"""What a request to the stand-in for a Kubernetes API asks for, and whether it may: rights, labels, pages."""

import base64
import json
import re
from typing import NamedTuple

from tests.kube_store import KINDS, RefusedError, details, qualified


class User(NamedTuple):
    """Who has a token: `rules` of Roles in one namespace, or None for everything."""

    name: str
    rules: list | None = None
    namespace: str = ""


def allow(user, verb, place):
    """403 unless a rule of the user's names the verb and the resource, and the name where it names some."""
    group, name = KINDS[place["plural"]][0], place["name"]
    resource = "/".join(filter(None, (place["plural"], place["sub"])))
    if user.rules is None:
        return
    for rule in user.rules if place["namespace"] == user.namespace else ():
        named = not rule.get("resourceNames") or name in rule["resourceNames"]
        if named and group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]:
            return
    where = f'in the namespace "{place["namespace"]}"' if place["namespace"] else "at the cluster scope"
    what = f"{qualified(place['plural'])}{f' {chr(34)}{name}{chr(34)}' if name else ''} is forbidden"
    who = f'User "{user.name}" cannot {verb} resource "{resource}" in API group "{group}" {where}'
    told = details(place["plural"], name) if name else {"group": group, "kind": place["plural"]}
    raise RefusedError(403, "Forbidden", f"{what}: {who}", told)


def continued(token):
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        found = json.loads(raw.decode("latin-1"))
    except ValueError:
        why = f"invalid character '\\u{raw[0]:04x}' looking for beginning of value"
        message = f"invalid continue token: continue key is not valid: {why}"
        raise RefusedError(400, "BadRequest", message) from None
    return found["start"], found["rv"]


def selector(text):
    """Whether an object has the labels of `a=b,c!=d,e,!f,g in (h,i)`."""
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]

    def one(labels, part):
        if found := re.fullmatch(r"(\S+) (in|notin) \((.*)\)", part):
            return (labels.get(found[1]) in found[3].split(",")) == (found[2] == "in")
        name, sign, value = re.fullmatch(r"(!?[^=!]+)(==?|!=)?(.*)", part).groups()
        if sign is None:
            return (name.lstrip("!") in labels) != name.startswith("!")
        return (labels.get(name) == value) == (sign != "!=")

    return lambda thing: all(one(thing["metadata"].get("labels", {}), part) for part in parts)
