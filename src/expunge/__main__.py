"""python -m expunge: the command, for where no script folder is on the path."""

from expunge.app.command import main

main()
