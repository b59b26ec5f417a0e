"""Put the report of the demo into the documentation, and draw its first screen for the README.

    make demo && python docs/make_demo_report.py

It writes docs/demo-report.html and, with Chromium (another one by `--browser`), docs/report.png.
"""

import argparse
import io
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from mrisr.common.files import atomic, write_text
from mrisr.common.paths import ROOT

PAGE, PICTURE = ROOT / "docs/demo-report.html", ROOT / "docs/report.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Bytes that the page may have.
MOST = 3_000_000
#: Pixels of the picture: a screen without its scroll bar.
SIZE = (1400, 900)
NOTE = (
    '<main id="main">\n<p class="notes">This is what <code>make demo</code> writes, as an example.'
    " The files that it names lie beside it in the results of a study, and not here.</p>\n"
)


def example(page: str) -> str:
    """Return a report without what leads to files beside it or names a machine.

    Args:
        page: HTML of `results/demo/report.html`.
    """
    page = re.sub(r'<a href="(?!#|https?:)[^"]*">(.*?)</a>', r"\1", page)
    page = re.sub(r"\b(Linux|macOS)-[\w.+-]+", r"\1", page)
    return page.replace('<main id="main">\n', NOTE, 1)


def draw(page: Path, browser: str) -> bytes:
    """Return the first screen of a page, PNG of at most 256 colours."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "picture.png")
        command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"]
        command += [f"--user-data-dir={folder}/profile", f"--window-size={SIZE[0]},{SIZE[1]}"]
        command += [f"--screenshot={picture}", page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
        small = io.BytesIO()
        with Image.open(picture) as image:
            image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
                small, "PNG", optimize=True
            )
        return small.getvalue()


def main() -> None:
    """Write the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, default=ROOT / "results/demo/report.html")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    parser.add_argument("--browser", default=found, help="program that draws the picture")
    arguments = parser.parse_args()
    page = example(arguments.report.read_text(encoding="utf-8"))
    size = len(page.encode("utf-8"))
    if size > MOST:
        raise SystemExit(f"{arguments.report}: {size:,} bytes, more than {MOST:,}")
    write_text(PAGE, page)
    print(f"{PAGE}: {size:,} bytes")
    if arguments.browser is None:
        raise SystemExit("no Chromium found, so the picture stays as it is: --browser PROGRAM")
    drawn = draw(arguments.report, arguments.browser)
    with atomic(PICTURE) as staged:
        staged.write_bytes(drawn)
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
