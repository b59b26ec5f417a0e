"""Messages that docs/troubleshooting.md explains are those of the code."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import snakemake

from tiny_study import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
# Parts of the page with messages of other programs.
SNAKEMAKE = "From Snakemake"
ELSEWHERE = {SNAKEMAKE, "PyTorch and GPUs", "Slurm"}
GAP = "\0"


def quoted():
    """The messages of the page, with the part that they stand in."""
    for part in re.split(r"^## ", PAGE.read_text(), flags=re.M)[1:]:
        heading = part.splitlines()[0]
        # A message may hold backticks itself: it ends where the cell does.
        for message in re.findall(r"^\| `(.*?)` \| ", part, re.M):
            yield heading, message


def text_of(node):
    """The text of an expression, with a gap for what is only known when it runs."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(map(text_of, parts))
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return text_of(left) + text_of(right)
        case ast.BinOp(op=ast.Mod(), left=ast.Constant(value=str(text))):
            return re.sub(r"%[.\d]*[sdrfg]", GAP, text)
    return GAP


@cache
def texts(folder):
    """All texts in the Python code of a folder, those of its rules as they stand."""
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            text = text_of(node)
            if text.strip(GAP):
                found.add(re.sub(r"%[.\d]*[sdrfg]", GAP, text))
    return "\n\n".join([*found, *(file.read_text() for file in folder.rglob("*.smk"))])


def is_in(message, folder):
    """Whether one text of the code has all parts of a message, in their order."""
    parts = [re.escape(part) for part in message.split("…") if part.strip(" .")]
    return re.search(r"[^\n]*?".join(parts), texts(folder)) is not None


OURS = [message for heading, message in quoted() if heading not in ELSEWHERE]


@pytest.mark.parametrize("message", OURS)
def test_an_explained_message_is_one_that_the_code_says(message):
    assert is_in(message, ROOT / "workflow")


def test_snakemakes_own_messages_are_those_of_the_pinned_version():
    theirs = [message for heading, message in quoted() if heading == SNAKEMAKE]
    assert len(theirs) > 5
    folder = Path(snakemake.__file__).parent
    assert [message for message in theirs if not is_in(message, folder)] == []


def test_a_message_that_nothing_says_is_found():
    assert len(OURS) > 50
    assert not is_in("…: the loss is not finite at stop …", ROOT / "workflow")
    assert not is_in("free some space …: the loss is not finite", ROOT / "workflow")
