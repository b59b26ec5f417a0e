"""What jobs ask for: one table that the rules and the bill of a study read."""

import re

from mrisr.common.paths import WORKFLOW
from mrisr.plan.resources import REQUESTS


def test_rules_ask_for_what_the_table_says_and_for_nothing_else():
    rules = "".join(file.read_text() for file in (WORKFLOW / "rules").glob("*.smk"))
    assert "mem_mb" not in rules and "runtime=" not in rules
    asked = set(re.findall(r'REQUESTS\["(\w+)"', rules)) | {"segment_with_registration"}
    assert asked == set(REQUESTS)
    for kind in asked - {"segment_with_registration"}:
        threads = rules.count(f'threads: REQUESTS["{kind}"].threads')
        assert threads == rules.count(f'**REQUESTS["{kind}"].resources'), kind
