"""Tokens and secrets of the targets file: it names a file or a variable of the environment that has them.

Read anew each time, so that one that is replaced counts at once. What is wrong is told with its place, and
never with what stands there.
"""

import os
import re
from pathlib import Path
from typing import Final

from tasks.errors import TemporaryError

PATIENCE_S: Final = 5.0
"""Seconds after which a place is looked at again: whoever mends it is given the time."""

_WORD: Final = re.compile(r"[!-~]+")


def place_of(file: str, variable: str) -> str:
    """Where something stands, in words."""
    return f"file {file}" if file else f"variable {variable}"


def words(what: str, file: str, variable: str) -> list[str]:
    """The words of plain letters that stand there, one at least; TemporaryError if there are others, or none."""
    place = place_of(file, variable)
    try:
        text = Path(file).read_text(encoding="utf-8", errors="replace") if file else os.environ.get(variable, "")
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise TemporaryError(f"the {what}'s {place} cannot be read: {why}", PATIENCE_S) from error
    found = text.split()
    if not found or not all(_WORD.fullmatch(word) for word in found):
        raise TemporaryError(f"the {what}'s {place} has no {what}: one word of plain letters", PATIENCE_S)
    return found
