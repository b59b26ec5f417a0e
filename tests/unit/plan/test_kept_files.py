"""Which volumes stay."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrisr.common.errors import ConfigError
from mrisr.plan.kept_files import EVERYONE, Keep
from mrisr.study.load import checked
from tiny_study import LEAST


def test_everything_stays_unless_the_config_says_otherwise():
    keep = Keep(checked(LEAST))
    assert keep.stays("sr", "demo", "sub-07") and keep.stays("segmentation", "demo", "sub-07")


def test_what_is_shown_stays_and_so_does_what_all_methods_use():
    keep = Keep(checked({**LEAST, "keep": ["segmentation"]}))
    assert keep.shown == {"demo": ["sub-06"]}
    assert keep.stays("sr", "demo", "sub-06") and not keep.stays("sr", "demo", "sub-07")
    assert keep.stays("segmentation", "demo", "sub-07")
    assert all(keep.stays(kind, "demo", "sub-07") for kind in ("hr", "lr", "masks"))


def test_other_kinds_are_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'keep\.0': 'lr': did you mean 'sr'"):
        checked({**LEAST, "keep": ["lr"]})


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,12}", fullmatch=True))
@settings(deadline=None)
def test_every_subject_belongs_to_one_of_the_two_rules(subject):
    passing, shown = parts()
    assert not passing.stays and shown.stays
    assert passing.holds(subject) != shown.holds(subject)


def test_one_rule_makes_all_where_all_stay():
    passing, shown = parts()
    assert shown.holds("sub-06") and not passing.holds("sub-06")
    assert Keep(checked(LEAST)).parts("sr", "demo") == [EVERYONE] and EVERYONE.holds("sub-06")


@cache
def parts():
    """The two rules of a study whose reconstructions pass."""
    return Keep(checked({**LEAST, "keep": []})).parts("sr", "demo")
