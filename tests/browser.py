"""Chromium without a window, driven over the DevTools protocol by a pair of pipes."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
#: WebGL 2 without a graphics card.
SOFTWARE = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
QUIET = (
    *("--no-first-run", "--disable-sync", "--disable-extensions", "--disable-default-apps"),
    *("--disable-background-networking", "--disable-component-update", "--mute-audio"),
)
#: What the protocol wants to know of keys that are no letters.
KEYS = {
    "Enter": ("Enter", 13, "\r"),
    "ArrowLeft": ("ArrowLeft", 37, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowRight": ("ArrowRight", 39, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "PageUp": ("PageUp", 33, ""),
    "PageDown": ("PageDown", 34, ""),
    "Tab": ("Tab", 9, ""),
    "Escape": ("Escape", 27, ""),
    " ": ("Space", 32, " "),
}
#: The child's ends of the pipes become 3 and 4, where Chromium looks for them.
EXEC = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(pipe), fcntl.F_DUPFD, 10) for pipe in sys.argv[1:3])
os.dup2(read, 3); os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A browser process with a profile of its own; its tabs share cookies and storage.

    Args:
        profile: Folder for what the browser keeps; the same folder again is the same reader's
            browser, opened anew.
        flags: Further flags, such as SOFTWARE.
    """

    def __init__(self, profile: str | Path, *flags: str):
        ours_read, its_write = os.pipe()
        its_read, ours_write = os.pipe()
        command = [CHROMIUM, "--headless", "--no-sandbox", "--remote-debugging-pipe"]
        command += [f"--user-data-dir={profile}", *QUIET, *flags, "about:blank"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", EXEC, str(its_read), str(its_write), *command],
            pass_fds=(its_read, its_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(its_read)
        os.close(its_write)
        self._in, self._out = ours_read, ours_write
        self._rest, self._number, self.events = b"", 0, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """End the browser as a reader does who closes its window."""
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (OSError, RuntimeError, TimeoutError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        for pipe in (self._in, self._out):
            os.close(pipe)

    def call(self, method: str, session: str | None = None, timeout: float = 60, **parameters):
        """Call a method of the protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": session} if session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        ends = time.monotonic() + timeout
        while True:
            reply = self._next(ends, method)
            if reply.get("id") == self._number:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']['message']}")
                return reply["result"]
            self.events.append(reply)

    def _next(self, ends: float, method: str) -> dict:
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], max(0, ends - time.monotonic()))[0]:
                raise TimeoutError(f"{method}: the browser does not answer")
            more = os.read(self._in, 1 << 20)
            if not more:
                raise RuntimeError(f"{method}: the browser is gone")
            self._rest += more
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def open(self, url: str, width: int = 920, height: int = 580, script: str = "") -> "Tab":
        """Open a tab of this size in CSS pixels; `script` runs before those of its page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, target, session)
        tab.call("Page.enable")
        tab.call("Runtime.enable")
        tab.call("Log.enable")
        tab.size(width, height)
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=script)
        tab.call("Page.navigate", url=url)
        tab.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
        return tab


class Tab:
    """A tab: what a reader does in it, and what stands in it."""

    def __init__(self, browser: Browser, target: str, session: str):
        self.browser, self.target, self.session = browser, target, session

    def call(self, method: str, **parameters):
        """Call a method of the protocol in this tab."""
        return self.browser.call(method, self.session, **parameters)

    def close(self) -> None:
        """Close the tab without asking."""
        self.browser.call("Target.closeTarget", targetId=self.target)

    def front(self) -> None:
        """Bring the tab to the front; hidden tabs paint nothing."""
        self.call("Page.bringToFront")

    def size(self, width: int, height: int, touch: bool = False, ratio: float = 1) -> None:
        """Make the tab a screen of this size, with a finger instead of a mouse if `touch`."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=ratio,
            mobile=touch,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch, maxTouchPoints=5)

    def ask(self, expression: str):
        """Return the value of an expression; promises are waited for."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            told = found["exceptionDetails"]
            raise RuntimeError(f"{expression}: {told.get('exception', told).get('description')}")
        return found["result"].get("value")

    def wait(self, expression: str, timeout: float = 60):
        """Return the value of an expression as soon as it is true."""
        ends = time.monotonic() + timeout
        while True:
            value = self.ask(expression)
            if value:
                return value
            if time.monotonic() > ends:
                text = self.ask("document.body.innerText")
                raise TimeoutError(f"{expression} did not come true on the page:\n{text}")
            time.sleep(0.02)

    def press(self, key: str, shift: bool = False) -> None:
        """Press and release a key: a digit, a letter, a sign, or one of KEYS."""
        code, number, text = KEYS.get(key, (None, 0, key))
        if code is None and key.isdigit():
            code, number = f"Digit{key}", ord(key)
        elif code is None and key.isalpha():
            code, number = f"Key{key.upper()}", ord(key.upper())
        its = {"key": key, "code": code or "", "windowsVirtualKeyCode": number}
        its |= {"modifiers": 8 if shift else 0}
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self.call("Input.dispatchKeyEvent", **down, **its)
        self.call("Input.dispatchKeyEvent", type="keyUp", **its)

    def mouse(self, kind: str, x: float, y: float, button: str = "left", **more) -> None:
        """Send a mouse event: mousePressed, mouseMoved, mouseReleased or mouseWheel."""
        held = {"left": 1, "right": 2, "middle": 4}.get(button, 0)
        self.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button=button,
            buttons=0 if kind == "mouseReleased" else held,
            clickCount=int(kind in ("mousePressed", "mouseReleased")),
            **more,
        )

    def drag(self, start, end, button: str = "left", steps: int = 4, modifiers: int = 0) -> None:
        """Drag from one point to another."""
        self.mouse("mousePressed", *start, button, modifiers=modifiers)
        for step in range(1, steps + 1):
            part = step / steps
            at = [a + (b - a) * part for a, b in zip(start, end, strict=True)]
            self.mouse("mouseMoved", *at, button, modifiers=modifiers)
        self.mouse("mouseReleased", *end, button, modifiers=modifiers)

    def touch(self, *moments) -> None:
        """Put fingers down, move them, lift them: a list of (x, y) for each moment."""
        for number, points in enumerate(moments):
            its = [{"x": x, "y": y, "id": which} for which, (x, y) in enumerate(points)]
            kind = "touchStart" if number == 0 else "touchMove"
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=its)
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def box(self, selector: str) -> dict:
        """Return x, y, width and height of an element on the screen."""
        return self.ask(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect();"
            " return {x: b.x, y: b.y, width: b.width, height: b.height}; })()"
        )

    def click(self, selector: str) -> None:
        """Click the middle of an element with the mouse."""
        box = self.box(selector)
        at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.mouse("mousePressed", *at)
        self.mouse("mouseReleased", *at)

    def picture(self) -> bytes:
        """Return what is on the screen as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def complaints(self) -> list[str]:
        """Return errors that the page or the browser has logged so far."""
        self.ask("0")
        found = []
        for event in self.browser.events:
            its = event.get("params", {})
            if event.get("sessionId") != self.session:
                continue
            if event["method"] == "Runtime.exceptionThrown":
                told = its["exceptionDetails"]
                found.append(str(told.get("exception", told).get("description", told)))
            elif event["method"] == "Runtime.consoleAPICalled" and its["type"] == "error":
                found.append(str([arg.get("value") for arg in its["args"]]))
            elif event["method"] == "Log.entryAdded" and its["entry"]["level"] == "error":
                found.append(f"{its['entry']['text']} {its['entry'].get('url', '')}")
        return found
