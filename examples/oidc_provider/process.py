"""The provider's process, and the pipe to it.

Owns both ends of what `server` says and is told: a line of JSON for each order and one for each
answer. Refuses to wait for ever; who does not answer is reported with their log.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

_TIMEOUT_S: Final = 20.0


class Process:
    """A server that was started; `stop` ends it.

    Arguments:
        folder: where its certificates and its log stand, or are put.
        options: its other arguments.

    Attributes:
        port: where it listens, on 127.0.0.1.

    Raises `RuntimeError` where it does not start.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._lock = threading.Lock()
        self._log = folder / "provider.log"
        package = __package__ or ""
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(  # noqa: S603
                [
                    *(sys.executable, "-W", "ignore", "-m", f"{package}.server"),
                    *("--folder", str(folder.resolve()), *options),
                ],
                # From where this package was imported, whatever it is called there.
                cwd=Path(__file__).resolve().parents[package.count(".") + 1],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        try:
            self.port: int = self._hear()["port"]
        except BaseException:
            self.stop()
            raise

    def order(self, do: str, **what: Any) -> Any:
        """Return what comes of an order; `ValueError` where it is refused."""
        with self._lock:
            if self._child.stdin is not None:
                self._child.stdin.write(json.dumps({"do": do, **what}).encode() + b"\n")
                self._child.stdin.flush()
            answer = self._hear()
        if "refused" in answer:
            raise ValueError(answer["refused"])
        return answer["done"]

    def stop(self) -> None:
        """End it; it keeps nothing that it would have to put away."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()

    def _hear(self) -> dict[str, Any]:
        """Return its next line."""
        pipe = self._child.stdout
        line = b""
        if pipe is not None:
            readable, _, _ = select.select([pipe], [], [], _TIMEOUT_S)
            line = pipe.readline() if readable else b""
        if not line:
            log = self._log.read_text(errors="replace")
            raise RuntimeError(f"The provider does not answer. Its log says:\n{log[-4000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer
