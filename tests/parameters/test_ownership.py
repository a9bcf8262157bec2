import pytest

from adql.parameters.ownership import Finding, judge
from adql.parameters.state import Mark

KNOWN = Mark(3, 40, 7, "me")


@pytest.mark.parametrize(
    ("held", "finding"),
    [
        (KNOWN, Finding.UNCHANGED),
        (None, Finding.LOST),
        (Mark(3, 39, 6, "me"), Finding.LOST),
        (Mark(3, 40, 6, "me"), Finding.LOST),
        (Mark(2, 50, 9, "other"), Finding.LOST),
        (Mark(3, 41, 8, "me"), Finding.LANDED),
        (Mark(3, 40, 8, "me"), Finding.LANDED),
        (Mark(4, 41, 8, "me"), Finding.LANDED),
        (Mark(4, 40, 8, "other"), Finding.FENCED),
        (Mark(3, 41, 8, "other"), Finding.FENCED),
    ],
)
def test_mark_in_the_store_tells_what_happened(held, finding):
    assert judge(held, KNOWN, "me") is finding
