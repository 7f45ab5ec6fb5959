"""`python -m pagefit`."""

from pagefit.cli.main import start

start()
