"""One word for one thing: the glossary is complete, and no text uses a word that it bans."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs import names

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
BANNED_TABLE = GLOSSARY.split("## Words we do not use")[1].split("\n## ")[0]
ROWS = re.findall(r"^\| (.+?) \|.*\|$", BANNED_TABLE, re.MULTILINE)
BANNED = {
    word + ending
    for row in ROWS
    if row != "not"
    for word in row.split(", ")
    for ending in ("", "s", "ed", "ing")
}
# These quote the banned words.
QUOTING = {"docs/glossary.md", "tests/docs/test_glossary.py", "tests/docs/names.py"}


def text_files() -> list[Path]:
    """The files of the project that people read."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.md"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in done.stdout.split() if (ROOT / name).exists()]


def uncovered(glossary: str, terms: dict[str, str]) -> list[str]:
    """The terms that the glossary does not have in code font, and where each was found."""
    listed = set(re.findall(r"`(\w+)`", glossary))
    return [f"{term} ({where})" for term, where in terms.items() if term not in listed]


def test_the_glossary_has_every_term():
    terms = names.public_terms()
    assert {"ridge", "strength", "Problem", "vocabulary", "susceptibility"} <= set(terms)
    assert uncovered(GLOSSARY, terms) == []


def test_a_missing_term_is_seen():
    terms = names.public_terms()
    assert uncovered(GLOSSARY.replace("`ridge`", "ridge"), terms) == [f"ridge ({terms['ridge']})"]


def test_no_text_uses_a_banned_word():
    assert {"door", "room", "house", "pull", "drawer", "pulls"} <= BANNED
    found = [
        use
        for path in text_files()
        if str(path.relative_to(ROOT)) not in QUOTING
        for use in names.banned_uses(path, BANNED)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("name", "text", "uses"),
    [
        ("comment.py", "x = 1  # at the door", 1),
        ("name.py", "log_pull = 1", 1),
        ("class.py", "class PullMass:\n    '''A room.\n\n    Two doors.'''", 3),
        ("page.md", "Checks at\nthe Door.", 1),
        ("innocent.py", "bedroom = 'roomy, household, outdoors, pullover'", 0),
    ],
)
def test_a_banned_word_is_seen(tmp_path, name, text, uses):
    path = tmp_path / name
    path.write_text(text)
    assert len(names.banned_uses(path, BANNED)) == uses


@pytest.mark.parametrize("package", ["theory_common", "gda_theory", "rhm_theory", "derivations"])
def test_no_class_name_is_defined_twice(package):
    assert names.classes_defined_twice(sorted((ROOT / package).rglob("*.py"))) == []


def test_a_class_defined_twice_is_seen(tmp_path):
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text("class Folds:\n    pass\n")
    assert len(names.classes_defined_twice(sorted(tmp_path.glob("*.py")))) == 1
