"""A command that runs in a container: what it writes, read from the channels of one WebSocket."""

import io
import json
from typing import Any, Protocol

from websocket import WebSocketException

from adql.errors import TransportError

STDOUT, STDERR, RESULT = 1, 2, 3
"""Channels of the Kubernetes protocol: a frame's first byte says which one it belongs to."""
_CLOSE = 0x8
SILENCE_SECONDS = 60.0
CLOSE_SECONDS = 2.0
"""From the result, after which nothing comes, to the close of the connection."""


class WebSocket(Protocol):
    """What is used of websocket-client."""

    def recv_data_frame(self, control_frame: bool) -> tuple[int, Any]:
        """Returns the code of the next frame and the frame."""

    def settimeout(self, timeout: float) -> None:
        """Bounds the wait for a frame."""

    def close(self) -> None:
        """Closes the connection."""


class Execution(io.RawIOBase):
    """Its standard output as a stream; ``stderr`` and ``exit_code`` are known at its end."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket, self._rest = websocket, b""
        self._stderr, self._result = b"", b""
        websocket.settimeout(SILENCE_SECONDS)

    @property
    def stderr(self) -> str:
        """What it said beside its output."""
        return self._stderr.decode(errors="replace")

    @property
    def exit_code(self) -> int:
        """Of the command, once its output was read to the end.

        Raises:
            TransportError: the connection broke before it ended, or it could not be started.
        """
        try:
            result = json.loads(self._result)
            if result["status"] == "Success":
                return 0
            causes = result.get("details", {}).get("causes", [])
            codes = [int(cause["message"]) for cause in causes if cause.get("reason") == "ExitCode"]
        except (ValueError, KeyError, TypeError):
            raise TransportError("the connection broke before the command had ended; try again") from None
        if not codes:
            said = " ".join(str(result.get("message", "it was not said why")).split())
            raise TransportError(f"the command in the container was not started: {said}; `adql k8s status` says more")
        return codes[0]

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills ``buffer`` with output; 0 at its end."""
        while not self._rest and self._receive():
            pass
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def close(self) -> None:
        """Closes the connection; the command may go on until it writes again."""
        if not self.closed:
            self._websocket.close()
        super().close()

    def _receive(self) -> bool:
        """Takes the next frame; returns False after the last."""
        try:
            code, frame = self._websocket.recv_data_frame(False)  # who answers pings is the WebSocket
        except (OSError, WebSocketException) as error:
            if self._result:  # some servers then hang up without a word, or leave the connection open
                return False
            raise TransportError(f"the connection to the cluster broke ({error}); try again") from None
        if code == _CLOSE:
            return False
        channel, content = (frame.data[0], bytes(frame.data[1:])) if frame.data else (0, b"")
        if channel == STDOUT:
            self._rest = content
        elif channel == STDERR:
            self._stderr += content
        elif channel == RESULT:
            self._result += content
            self._websocket.settimeout(CLOSE_SECONDS)
        return True
