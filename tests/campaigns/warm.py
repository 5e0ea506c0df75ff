"""Start ``loop serve`` repeatedly: import once, then fork a server for each line of input, and print its process id.

A kill ends a whole process, as usual; only the second of imports before each start is saved. With ``careless`` the
database is opened with ``synchronous=NORMAL``, which the power cuts must detect.
"""

import os
import sys
from sqlite3 import Connection

import uvicorn  # noqa: F401 (imported before the fork)

from loop import api  # noqa: F401 (the same)
from loop.cli import main
from loop.store import engine

careful = engine._prepare


def careless(connection: Connection, record: object) -> None:
    """Let commits not wait for the disk."""
    careful(connection, record)
    connection.execute("PRAGMA synchronous=NORMAL")


def serve(port: str) -> None:
    """Run a server in a child process; print its id, and at the end that it ended."""
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
