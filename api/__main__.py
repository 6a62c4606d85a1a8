"""`python -m api` is the console script `carbondesk`."""

from api.cli import main

main()
