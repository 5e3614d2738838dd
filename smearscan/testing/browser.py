"""A headless Chromium for tests of pages: opens a file, presses keys, looks, and notes every request and every error.

It speaks the DevTools protocol over two pipes, so that no driver, no port and no library is needed:
https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--disable-domain-reliability", "--disable-client-side-phishing-detection", "--metrics-recording-only", "--mute-audio"),
    *("--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe"),
)
NAMED_KEYS = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9}
PATIENCE_S = 60.0


class BrowserError(RuntimeError):
    """The browser did not do what it was told."""


def find_browser() -> str | None:
    """Return the Chromium that SMEARSCAN_BROWSER names, else one on the PATH, else None."""
    named = os.environ.get("SMEARSCAN_BROWSER")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One Chromium with an empty profile in `profile`; a context manager."""

    def __init__(self, executable: str, profile: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # Chromium reads from 3 and writes to 4; the shell puts the pipes there.
        command = [*("sh", "-c", 'exec "$@" 3<"/dev/fd/$0" 4>"/dev/fd/$SMEARSCAN_PIPE"', str(to_browser)), executable, *FLAGS]
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_browser, from_browser),
            env={**os.environ, "SMEARSCAN_PIPE": str(from_browser)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = bytearray()
        self._last = 0
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._write)  # Chromium ends when its pipe does
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def page(self) -> Page:
        """Open an empty page."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        return Page(self, self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Give a command and return its result; events that come in the meantime are kept."""
        self._last += 1
        command = {"id": self._last, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._write, json.dumps(command).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            message = self._receive(deadline, method)
            if message.get("id") != self._last:
                self.events.append(message)
            elif "error" in message:
                raise BrowserError(f"{method}: {message['error']}")
            else:
                return dict(message["result"])

    def wait(self, event: str, session: str) -> None:
        """Wait until an event came, which may have been before."""
        deadline = time.monotonic() + PATIENCE_S
        while not any(each.get("method") == event and each.get("sessionId") == session for each in self.events):
            self.events.append(self._receive(deadline, event))

    def _receive(self, deadline: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(deadline - time.monotonic(), 0))
            piece = os.read(self._read, 1 << 20) if ready else b""
            if not piece:
                raise BrowserError(f"Chromium ended or did not answer in {PATIENCE_S:.0f} s, while waiting for {what}.")
            self._buffer += piece
        message, _, rest = self._buffer.partition(b"\0")
        self._buffer = bytearray(rest)
        return dict(json.loads(message))


class Page:
    """One page of a browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._send(f"{domain}.enable")

    @property
    def requests(self) -> list[str]:
        """Every address that was asked for."""
        return [event["params"]["request"]["url"] for event in self._events("Network.requestWillBeSent")]

    @property
    def errors(self) -> list[str]:
        """Every error and warning of the console, and every exception."""
        found = [str(event["params"]["exceptionDetails"]) for event in self._events("Runtime.exceptionThrown")]
        found += [str(event["params"]["args"]) for event in self._events("Runtime.consoleAPICalled")]
        entries = [event["params"]["entry"] for event in self._events("Log.entryAdded")]
        return found + [f"{each['level']}: {each['text']} {each.get('url', '')}" for each in entries if each["level"] != "verbose"]

    def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """Set the size of the window and what the reader's system prefers."""
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address: str) -> float:
        """Open an address; return the seconds until it had loaded and was drawn."""
        self._forget()
        begun = time.monotonic()
        answer = self._send("Page.navigate", url=address)
        if "errorText" in answer:
            raise BrowserError(f"{address}: {answer['errorText']}")
        self._browser.wait("Page.loadEventFired", self._session)
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return time.monotonic() - begun

    def follow(self, selector: str) -> None:
        """Click a link, and wait until what it leads to had loaded."""
        self._forget()
        self.click(selector)
        self._browser.wait("Page.loadEventFired", self._session)

    def fill(self, selector: str, value: str) -> None:
        """Put a value into a field, as if it had been typed or chosen."""
        field = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{field}.value = {json.dumps(value)}; ['input', 'change'].forEach(kind => {field}.dispatchEvent(new Event(kind)))")

    def run(self, script: str) -> Any:
        """Return the value of an expression, awaited where it is a promise."""
        answer = self._send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def press(self, *keys: str) -> None:
        """Press keys one after the other, by name or as letters."""
        for key in keys:
            code = NAMED_KEYS.get(key, ord(key[0].upper()))
            text = "\r" if key == "Enter" else key if len(key) == 1 else ""
            for kind in ("keyDown", "keyUp"):
                typed = {"text": text} if text and kind == "keyDown" else {}
                self._send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **typed)

    def point(self, selector: str) -> None:
        """Move the mouse to the middle of an element."""
        self._send("Input.dispatchMouseEvent", type="mouseMoved", **self._middle(selector))

    def click(self, selector: str) -> None:
        """Click the middle of an element."""
        self.click_at(**self._middle(selector))

    def click_at(self, x: float, y: float) -> None:
        """Click a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self._send("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, x=x, y=y)

    def shoot(self, file: Path, *, whole: bool = False) -> None:
        """Save what is in the window, or the whole page, as PNG."""
        answer = self._send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(answer["data"]))

    def _forget(self) -> None:
        self._browser.events = [event for event in self._browser.events if event.get("sessionId") != self._session]

    def _middle(self, selector: str) -> dict[str, float]:
        found = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return {x: b.x + b.width / 2, y: b.y + b.height / 2} })()"
        )
        return {"x": float(found["x"]), "y": float(found["y"])}

    def _events(self, method: str) -> list[dict[str, Any]]:
        self._send("Runtime.evaluate", expression="0")  # whatever is on its way comes before the answer
        return [event for event in self._browser.events if event.get("method") == method and event.get("sessionId") == self._session]

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.send(method, self._session, **parameters)
