"""``loop …`` in a child process with a fast clock, the fast family and short intervals of background tasks.

``python -m tests.campaigns.month_child CLOCK CORPUS ARGUMENTS…``; settings come from the environment.
"""

import sys
from pathlib import Path

from tests.campaigns.fast_clock import FastClock, real_now


def command(clock: Path, corpus: Path, *arguments: str) -> list[str]:
    """A child's command line."""
    return [sys.executable, "-m", "tests.campaigns.month_child", str(clock), str(corpus), *arguments]


def main(clock: str, corpus: str, *arguments: str) -> None:
    """Run the command line. Modules that import ``utc_now`` after this get the fast clock."""
    from loop import clock as clocks

    clocks.utc_now = FastClock(Path(clock)).now

    from loop import cli
    from loop.schedule import background, night_process, scheduler
    from tests.helpers import linear

    scheduler.utc_now = real_now  # it is compared with APScheduler, which uses the real clock
    background.FEED_INTERVAL_SECONDS = background.WEBHOOK_INTERVAL_SECONDS = background.SCRUB_INTERVAL_SECONDS = 1.0
    night_process.POLL_SECONDS = 0.1
    night_process.COMMAND = tuple(command(Path(clock), Path(corpus), "retrain", "--slot"))
    scheduler.Scheduler.__init__.__kwdefaults__["command"] = night_process.COMMAND
    linear.install(Path(corpus))
    sys.argv = ["loop", *arguments]
    cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
