"""Who asks: the name that goes with policies and commands. Used by `policy apply`, `pause` and `resume`."""

import getpass
import socket

import typer


def default() -> str:
    """`user@host` of whoever runs this."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


AUTHOR = typer.Option(None, "--author", help="Who asks for it; by default user@host.")
