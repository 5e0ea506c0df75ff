"""``loop …`` in a process of its own that lives by a fast clock, with the fast family and brisk chores.

``python -m tests.campaigns.month_child CLOCK CORPUS ARGUMENTS…``; settings come from the environment.
"""

import sys
from pathlib import Path

from loop import lease
from tests.campaigns.fast_clock import FastClock, real_now


def command(clock: Path, corpus: Path, *arguments: str) -> list[str]:
    """A child's command line."""
    return [sys.executable, "-m", "tests.campaigns.month_child", str(clock), str(corpus), *arguments]


def main(clock: str, corpus: str, *arguments: str) -> None:
    """The command line. Whoever imports ``utc_now`` after this gets the fast clock's."""
    lease.utc_now = FastClock(Path(clock)).now

    from loop import chores, cli, nightshift, schedule
    from tests import linear

    schedule.utc_now = real_now  # APScheduler, which it is compared with there, lives by the real one
    chores.FEED_SECONDS = chores.HOOK_SECONDS = chores.SCRUB_SECONDS = 1.0
    nightshift.LOOK_SECONDS = 0.1
    nightshift.COMMAND = tuple(command(Path(clock), Path(corpus), "retrain", "--slot"))
    schedule.Scheduler.__init__.__kwdefaults__["command"] = nightshift.COMMAND
    linear.install(Path(corpus))
    sys.argv = ["loop", *arguments]
    cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
