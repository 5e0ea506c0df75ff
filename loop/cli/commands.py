"""Every command of ``loop``, by panel of ``loop --help``: where it is defined, and its line of help.

Importing this imports no command: ``lazy`` imports a command's module when the command runs. The line of help is the
first line of the command's docstring.
"""

from typing import NamedTuple


class Entry(NamedTuple):
    """One command: ``target`` is ``module:name`` below ``loop.cli``, a function or a ``typer.Typer``."""

    target: str
    summary: str


PANELS: dict[str, dict[str, Entry]] = {
    "First steps": {
        "demo": Entry("demo:demo", "Run the whole loop once on real handwriting, from corrections to a better phone."),
        "init": Entry("setup:init", "Create a home: migrate the store, register the base as version 1 and champion."),
        "up": Entry("serve:up", "Run the API, the pages and the scheduler in one process; create what is missing."),
    },
    "Every day": {
        "status": Entry("status_screen:status", "Show champions, nights, queues, feed, disk space and warnings."),
        "retrain": Entry("nights:retrain", "Run one night now: snapshot, fine-tune, export, evaluate, judge, publish."),
        "runs": Entry("runs:runs", "List the last runs, newest first, with their outcome and duration."),
        "logs": Entry("runs:logs", "Print the log of a run that the scheduler started."),
        "pause": Entry("schedule:pause", "Start no nights until `loop resume`."),
        "resume": Entry("schedule:resume", "Start nights again; nights missed during the pause are caught up once."),
    },
    "Versions": {
        "versions": Entry("versions:versions", "List every version with its verdict and accuracy."),
        "show": Entry("versions:show", "Show one version: accuracy, lineage, files."),
        "verdict": Entry("versions:verdict", "Show the verdicts on a version, with reasons and numbers."),
        "taint": Entry("learned:taint", "Show what a version learned from whom, and what of it was refused since."),
        "influence": Entry("learned:influence", "Teach a version's lesson again without one source, and compare."),
        "history": Entry("versions:history", "List the moves of champions, newest first."),
        "promote": Entry("versions:promote", "Make a version champion, after checking its file."),
        "rollback": Entry("versions:rollback", "Go back to the previous champion, or to an earlier one."),
    },
    "Feedback": {
        "import": Entry("feedback:import_", "Store labelled handwriting as corrections of one source."),
        "replay": Entry("feedback:replay", "Send labelled handwriting through the champion, as phones would."),
        "ask": Entry(
            "review:ask", "Choose the next questions from the drawings that wait, and set the phones' policy."
        ),
        "recompute": Entry(
            "recompute:recompute", "Choose the questions of a round again from what is stored, and compare."
        ),
        "export": Entry("export:export", "Export stored uploads with their pictures: IDX, npz or Parquet."),
        "worth": Entry(
            "worth:worth",
            "Measure what asking is worth: learning curves of the asked and of the random answers.",
        ),
        "review": Entry("review:app", "Answer questions: look at a digit, press its key."),
        "sources": Entry(
            "sources:app",
            "List sources with their role, the number of their uploads and their trust; show one, or vouch for it.",
        ),
        "quarantine": Entry(
            "quarantine:app", "List the uploads that screening held back; show, accept or reject them."
        ),
        "erase": Entry("sources:erase", "Erase every upload of a source, and name the versions that learned from it."),
    },
    "Devices and feed": {
        "feed": Entry("feed:app", "Manage the signed feed: keys, publication, verification."),
        "device": Entry("device:app", "Follow a feed as a device does."),
    },
    "Operating": {
        "serve": Entry("serve:serve", "Serve the HTTP API and the pages."),
        "schedule": Entry("schedule:schedule", "Start nights when they are due, until SIGTERM or Ctrl-C."),
        "doctor": Entry("operations:doctor", "Check this installation and name a fix for each problem."),
        "verify": Entry("operations:verify", "Verify every file, the ledger's hash chain, the feed and all snapshots."),
        "backup": Entry("operations:backup", "Write one file from which `loop restore` rebuilds the home."),
        "restore": Entry("operations:restore", "Restore this home from a backup."),
        "gc": Entry("operations:gc", "Delete leftovers of killed nights, old logs and old events."),
        "webhooks": Entry("webhooks:app", "Manage webhooks: signed messages about nights, promotions and rollbacks."),
        "migrate": Entry("setup:migrate", "Migrate the database to the schema of this release."),
        "settings": Entry("setup:settings", "List every setting with its value and origin; secrets are masked."),
    },
    "Security": {
        "keys": Entry("keys:app", "Manage API keys."),
        "secrets": Entry("secrets:app", "Manage the key that seals the secrets in the database."),
    },
    "Model development": {
        "score": Entry("score:score", "Measure any Core ML digit model: accuracy, confusions, time per image."),
        "inspect": Entry("score:inspect", "Describe a Core ML file: inputs, outputs, labels, layers, lowest iOS."),
        "base": Entry("setup:base", "Train a family's base from scratch on its base corpus."),
        "gate-power": Entry("nights:gate_power", "Simulate the gate's error rates for each amount of feedback."),
    },
}

ENTRIES = {name: entry for entries in PANELS.values() for name, entry in entries.items()}
