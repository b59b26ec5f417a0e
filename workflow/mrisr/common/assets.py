"""Files of the report's page that are not Python: template, style, scripts, viewer library."""

import hashlib

from mrisr.common.paths import WORKFLOW

#: Template, style and scripts of the page, and its library.
PAGE = WORKFLOW / "report" / "page"
NIIVUE = PAGE.parent / "vendor" / "niivue.umd.js.gz"


def page_digest() -> str:
    """Return a digest of the page's files that are not Python, 16 hexadecimal digits."""
    files = [*sorted(file for file in PAGE.iterdir() if file.is_file()), NIIVUE]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
