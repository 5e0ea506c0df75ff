"""``loop serve`` over and over: imports once, then forks a server for each line of its input, and says its process.

What is killed is a whole process as ever; only the second of imports before each start is spared. With ``careless``
the database is opened with ``synchronous=NORMAL``: what power cuts must find out.
"""

import os
import sys
from sqlite3 import Connection

import uvicorn  # noqa: F401 (so that it is there before the fork)

from loop import api  # noqa: F401 (the same)
from loop.cli import main
from loop.store import engine

careful = engine._prepare


def careless(connection: Connection, record: object) -> None:
    """As ever, but a commit does not wait for the disk."""
    careful(connection, record)
    connection.execute("PRAGMA synchronous=NORMAL")


def serve(port: str) -> None:
    """A server in a process of its own; says its number, and in the end that it ended."""
    child = os.fork()
    if child == 0:
        sys.argv = ["loop", "serve", "--port", port]
        try:
            main()
        finally:
            os._exit(1)
    sys.stdout.write(f"{child}\n")
    sys.stdout.flush()
    os.waitpid(child, 0)
    sys.stdout.write("ended\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if "careless" in sys.argv[2:]:
        engine._prepare = careless
    for _ in sys.stdin:
        serve(sys.argv[1])
