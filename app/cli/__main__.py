"""`python -m app.cli`: the command `headrace` where its script is not on the path."""

from app.cli import main

main()
