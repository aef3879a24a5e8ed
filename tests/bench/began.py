"""What the jobs of the benchmarks do: say that they began, in a file. Imports nothing but Python's own.

`BENCH_BEGAN` is the file. A line is `<task id> <nanoseconds of the machine's monotonic clock>`.
"""

import os
from functools import cache
from time import monotonic_ns


@cache
def _file() -> int:
    return os.open(os.environ["BENCH_BEGAN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def began(task_id: str) -> None:
    """Say so, in one write, so that lines of several processes never mix."""
    os.write(_file(), f"{task_id} {monotonic_ns()}\n".encode())
