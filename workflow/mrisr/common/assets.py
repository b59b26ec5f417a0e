"""Files of pages that are not Python: template, style and scripts of the report; NiiVue."""

import hashlib

from mrisr.common.paths import WORKFLOW

#: Template, style and scripts of the report.
PAGE = WORKFLOW / "report" / "page"
#: The slice viewer of the reader study.
NIIVUE = PAGE.parent / "vendor" / "niivue.umd.js.gz"


def page_digest() -> str:
    """Return a digest of the page's files that are not Python, 16 hexadecimal digits."""
    files = sorted(file for file in PAGE.iterdir() if file.is_file())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
