import pytest

from theory_common.printing.nouns import plural


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (1, "identity", "1 identity"),
        (2, "identity", "2 identities"),
        (0, "process", "0 processes"),
        (1200, "row", "1,200 rows"),
        (2, "survey", "2 surveys"),
        (3, "branch", "3 branches"),
    ],
)
def test_a_noun_has_the_number_of_its_count(count, noun, text):
    assert plural(count, noun) == text
