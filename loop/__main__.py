"""``python -m loop …`` is ``loop …``."""

from loop.cli import main

main()
