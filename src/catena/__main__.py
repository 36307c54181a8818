"""`python -m catena` is the `catena` command."""

from catena.cli import main

main()
