"""The package's executable ``phone``: a command a line in, an answer a line out (clients/swift/Tests/Phone)."""

import base64
import json
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

ANSWER = dict[str, Any]
UNSURE = [0.0, 0.52, 0.02, 0.02, 0.01, 0.01, 0.005, 0.41, 0.005, 0.0]


class Killed(Exception):
    """The phone died by SIGKILL before it answered."""


class Program:
    """A running phone."""

    def __init__(self, command: list[str]) -> None:
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        """Run."""
        return self

    def __exit__(self, *error: object) -> None:
        """End its input, and wait for its end."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        if self.child.poll() is None:
            self.child.stdin.close()
        self.child.wait(20)
        self.child.stdout.close()

    def do(self, name: str, **arguments: Any) -> ANSWER:
        """The answer to a command. Raises ``Killed``."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(json.dumps({"do": name} | {k: v for k, v in arguments.items() if v is not None}) + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            assert self.child.wait(20) == -signal.SIGKILL
            raise Killed
        answer: ANSWER = json.loads(line)
        return answer


def base64_of(data: bytes) -> str:
    """Bytes as text."""
    return base64.b64encode(data).decode("ascii")


def drawn(seed: int) -> NDArray[np.uint8]:
    """``(28, 28) uint8``: another drawing for each seed."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[6:22, 6:22] = np.random.default_rng(seed).integers(0, 256, (16, 16), np.uint8)
    return pixels


@dataclass
class Outbox:
    """The outbox in a folder, at a server, through a phone."""

    program: Program
    folder: Path
    api: str
    key: str
    batch: int = 100

    def __post_init__(self) -> None:
        """Open it."""
        done = self.program.do(
            "outbox", folder=str(self.folder), api=self.api, key=self.key, batch=self.batch, timeout=5
        )
        assert "refused" not in done, done

    @property
    def secret(self) -> str:
        """The secret of this install."""
        return (self.folder / "secret").read_text(encoding="ascii")

    def add(self, seed: int, kind: str = "correction", key: str | None = None, **more: Any) -> ANSWER:
        """Keep an upload about the drawing of a seed; its key is ``key-SEED`` if none is given."""
        plain: ANSWER = (
            {"label": 7, "predicted": 1, "confidence": 0.5} if kind != "drawing" else {"probabilities": UNSURE}
        )
        named = {"kind": kind, "key": key or f"key-{seed}", "pixels": base64_of(drawn(seed).tobytes())}
        done = self.program.do("add", **plain | named | more)
        assert "refused" not in done, done
        return done

    def upload(self) -> ANSWER:
        """Upload once."""
        return self.program.do("upload")
