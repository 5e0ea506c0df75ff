"""``python -m loop …`` runs ``loop …``."""

from loop.cli import main

main()
