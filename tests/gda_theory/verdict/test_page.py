"""The report as a page: its numbers, its pictures, its sentences; and what a Diagnosis offers."""

import copy
import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

import gda_theory as gt
from gda_theory import cli
from gda_theory.verdict import answers, page, page_drawing
from gda_theory.verdict.page_drawing import Scale
from gda_theory.verdict.page_values import FORMATS, lookup, plain
from tests.gda_theory.verdict.page_reading import Reader, check

# The data of test_evidence: wine, with an intercept.
WINE = ["diagnose", "wine:0-1", "--forget", "0-12,15,19", "--intercept", "--strength", "0.02"]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    names = [str(folder / name) for name in ("report.html", "report.json")]
    assert cli.main([*WINE, "--html", names[0], "--json", names[1]]) == 0
    return folder


@pytest.fixture(scope="module")
def document(written):
    return json.loads((written / "report.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def text(written):
    return (written / "report.html").read_text("utf-8")


# The page ----------------------------------------------------------------------------------------


def test_every_number_in_the_page_is_in_the_json(text, document):
    reader = check(text, document)
    keys = {shown.key for shown in reader.shown}
    assert len(keys) > 200
    for section in document["answers"]:
        assert any(key.startswith(section) for key in keys)
    assert {"sentences.ascent", "given.break_even_strength", "membership.noise"} <= keys


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('value="0.02"', 'value="0.021"'),
        (">0.02</data>", ">0.03</data>"),
        ("</h2>", " 17</h2>"),
        ("</tspan>", "7</tspan>"),
    ],
)
def test_a_wrong_number_is_seen(text, document, before, after):
    assert before in text
    with pytest.raises(AssertionError):
        check(text.replace(before, after, 1), document)


def test_the_page_asks_nothing_of_a_network(text):
    reader = Reader(text)
    assert set(reader.links) == {"data:,"} | {
        f"#{key}" for key in re.findall('section id="(.+?)"', text)
    }
    assert not {"script", "img", "iframe", "object", "embed"} & reader.tags
    assert "@import" not in text
    assert "url(" not in text
    assert "//" not in text


def test_the_verdict_comes_first_then_the_contents_then_the_answers(text, document):
    first = document["sentences"]["ascent"].split(". ")[0]
    assert f"<h1>{first}." in text
    assert document["verdict"] == " ".join(document["sentences"].values())
    places = [
        text.index(first),
        text.index("<nav"),
        *(text.index(f'id="{key}"') for key in document["answers"]),
    ]
    assert places == sorted(places)
    letters = re.findall(r"<h2>(\w)\. ", text)
    assert letters == list("abcdefgh"[: len(letters)])
    assert len(letters) == len(document["answers"])
    for answer in document["answers"].values():
        shown = html.unescape(re.sub("<[^>]+>", "", text))
        assert answer["sentence"] in shown
        assert answer["question"] in shown


def test_each_answer_has_a_picture_for_both_widths_and_a_caption(text):
    sections = re.findall(r"<section.*?</section>", text, re.DOTALL)
    assert len(sections) >= 7
    for section in sections:
        figures = section.count("<figure>")
        assert figures >= 1
        assert section.count('class="wide"') == section.count('class="narrow"') == figures
        assert section.count("<figcaption>") == figures
        assert section.count("<table>") >= 1
        assert section.count("<summary>How this is computed</summary>") == 1


def test_what_comes_from_the_data_is_escaped(document):
    bad = copy.deepcopy(document)
    bad["data"] = ["<script>alert(1)</script>"]
    bad["differences"]["features"][0]["name"] = 'a"><script>'
    reader = check(page.page(bad), bad)
    assert "script" not in reader.tags


def test_a_report_without_sections_says_why(document):
    short = {key: document[key] for key in ("verdict", "sentences", "data", "given", "other")}
    short |= {"stops": [], "unanswered": {}, "missing": "there is nothing to compare"}
    reader = check(page.page(short), short)
    assert ("missing", "there is nothing to compare") in {
        (shown.key, shown.text) for shown in reader.shown
    }


def console(path, folder, width):
    """What a browser's console says about a page."""
    options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    quiet = "--disable-background-networking --disable-component-update --disable-sync"
    done = subprocess.run(
        [
            CHROMIUM,
            *options.split(),
            *quiet.split(),
            "--enable-logging=stderr",
            f"--user-data-dir={folder / 'user'}",
            f"--window-size={width},2000",
            f"--screenshot={folder / 'page.png'}",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_a_question_without_an_answer_says_why(document):
    short = copy.deepcopy(document)
    short["random_test"] = None
    short["unanswered"] = {"random_test": "a class is gone"}
    reader = check(page.page(short), short)
    assert "Does the forget set look random?" in reader.other
    assert any(shown.text == "a class is gone" for shown in reader.shown)
    # A picture that needs the numbers of another section is left out with them.
    assert page.page(short).count("<figure>") == page.page(document).count("<figure>") - 1
    short["course"] = None
    assert page.page(short).count("<figure>") == page.page(document).count("<figure>") - 3
    # The letters of the other answers have no gap.
    assert "g. What could an outsider still tell?" in reader.other


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.parametrize("width", [1200, 400])
def test_a_browser_shows_the_page_without_a_word(written, tmp_path, width):
    """The page forbids itself all requests, so that the console would name each of them."""
    assert console(written / "report.html", tmp_path, width) == []
    assert (tmp_path / "page.png").stat().st_size > 30_000


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_a_request_would_be_named(text, tmp_path):
    path = tmp_path / "bad.html"
    path.write_text(text.replace("<main>", "<main><img src='http://localhost:9/a.png'>"))
    assert "Content Security Policy" in console(path, tmp_path, 400)[0]


# Pictures ----------------------------------------------------------------------------------------


def test_a_mark_stands_where_its_axis_says(text, document):
    """The fold in the picture of the course, by the ticks of the horizontal axis."""
    section = re.search(r'<section id="course".*?</section>', text, re.DOTALL)[0]
    for picture in re.findall(r"<svg.*?</svg>", section, re.DOTALL):
        ticks = re.findall(r'<text x="([\d.]+)" y="301" class="tick"[^>]*>([\d.]+)</text>', picture)
        assert len(ticks) >= 2
        places, values = (np.array(column, float) for column in zip(*ticks, strict=True))
        slope, start = np.polyfit(values, places, 1)
        found = re.search(
            r'data-key="course.fold.distance"[^>]*cx="([\d.]+)"', picture
        ) or re.search(r'cx="([\d.]+)"[^>]*data-key="course.fold.distance"', picture)
        critical = document["given"]["critical_strength"]
        assert float(found[1]) == pytest.approx(start + slope * critical, abs=0.2)


def test_a_scale_places_values_and_cuts_what_is_outside():
    linear = Scale(0.0, 10.0, 100.0, 200.0)
    assert [linear.at(value) for value in (-1, 0, 2.5, 10, 11)] == [100, 100, 125, 200, 200]
    upwards = Scale(1.0, 100.0, 300.0, 100.0, log=True)
    assert [round(upwards.at(value), 9) for value in (1, 10, 100, 1000)] == [300, 200, 100, 100]


@pytest.mark.parametrize(
    ("low", "high", "log", "most", "ticks"),
    [
        (0, 1, False, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-0.03, 0.07, False, 4, [0, 0.05]),
        (0.7, 1.0, False, 3, [0.7, 0.8, 0.9, 1.0]),
        (1e-3, 100, True, 6, [1e-3, 1e-2, 0.1, 1, 10, 100]),
        (1e-4, 2, True, 3, [1e-4, 1e-2, 1]),
        (0.4, 30, True, 6, [0.5, 1, 2, 5, 10, 20]),
    ],
)
def test_ticks_are_round(low, high, log, most, ticks):
    found = Scale(low, high, 0.0, 1.0, log).ticks(most)
    np.testing.assert_allclose(found, ticks, atol=1e-12)


@pytest.mark.parametrize(
    ("values", "log"), [([1.0], False), ([0.0], False), ([], True), ([None, 2.0], True)]
)
def test_an_axis_has_a_length_for_any_values(values, log):
    low, high = page_drawing.span(values, log)
    assert low < high
    assert Scale(low, high, 0.0, 100.0, log).ticks(4)


# Sentences ---------------------------------------------------------------------------------------


def changed(document, key, value):
    new = copy.deepcopy(document)
    *path, last = key.split(".")
    lookup(new, ".".join(path))[last] = value
    if key == "given.critical_strength":
        new["course"]["fold"] = None
    return new


@pytest.mark.parametrize(
    ("key", "value", "section", "said"),
    [
        ("given.critical_strength", None, "course", "does not disappear"),
        ("course.fold", None, "course", "run to infinity"),
        ("course.fold.beyond", None, "course", "no other minimum was found"),
        ("given.opposite_cosine", 0.3, "dependence", "does not lie opposite"),
        ("given.break_even_strength", None, "dependence", "no strength up to"),
        ("random_test.looks_random", False, "random_test", "are no random sample"),
        ("random_test.half_width", 0.15, "random_test", "may be a random sample"),
        ("differences.half", 1, "differences", "1 of 14 feature accounts"),
    ],
)
def test_a_sentence_says_what_the_numbers_say(document, key, value, section, said):
    new = changed(document, key, value)
    found = answers.sentences(new)[section]["sentence"]
    assert said in found
    assert said not in document["answers"][section]["sentence"]
    check(page.page(new), new)  # with its picture and table


def test_where_no_stop_helps_the_sentence_says_so(document):
    new = copy.deepcopy(document)
    for stop in new["stops"]:
        stop.update(best_epoch=0, best_relative=1.0, descent_relative=1.0)
    assert "No early stop comes closer" in answers.sentences(new)["stops"]["sentence"]


def test_what_is_recommended(document):
    """The cheapest method that leaves little; retraining where none does; never ascent."""
    new = copy.deepcopy(document)
    methods = new["remedies"]["methods"]
    assert "One Newton step leaves" in answers.sentences(new)["remedies"]["sentence"]
    for method in methods:
        if method["name"] == "pure_ascent":
            method["distance"] = 0.0
        elif method["name"] != "retrain":
            method["distance"] = 0.5
    assert answers.sentences(new)["remedies"]["sentence"].startswith("Retrain: it takes the work")
    check(page.page(new), new)


def test_the_best_stop_is_of_a_scheme_that_goes_on_ascending(document):
    best = document["stops"][answers.best_ascent(document["stops"])]
    others = [stop for stop in document["stops"] if stop["scheme"] != "ascent_then_descent"]
    assert best["best_relative"] == min(stop["best_relative"] for stop in others)
    assert min(stop["best_relative"] for stop in document["stops"]) < best["best_relative"]


def test_sentences_are_short_and_without_missing_numbers(document):
    for answer in document["answers"].values():
        assert "–" not in answer["sentence"]
        assert len(answer["sentence"].split()) <= 45


@pytest.mark.parametrize(
    ("format", "value", "text"),
    [
        ("number", 0.0123456, "0.0123"),
        ("number", None, "–"),
        ("number", "inf", "inf"),
        ("short", 0.0123456, "0.012"),
        ("percent", 0.5, "50 %"),
        ("percent", 1e-7, "<0.01 %"),
        ("percent", 0.99999, "almost 100 %"),
        ("points", 0.0123456, "1.23"),
        ("points", None, "–"),
        ("points_up", 0.184, "19"),
        ("points_up", None, "–"),
        ("left", 0.5, "50 %"),
        ("left", 1234.5, "1,234 times"),
        ("left", None, "–"),
        ("bound", "inf", "none"),
        ("bound", 0.25, "25 %"),
    ],
)
def test_formats(format, value, text):
    assert FORMATS[format](value) == text


def test_a_template_names_what_is_missing():
    assert plain("{a.1|number} of {b|percent}", {"a": [1, 2], "b": 0.5}) == "2 of 50 %"
    with pytest.raises(KeyError, match="c"):
        plain("{c|number}", {})


# The command and the methods ---------------------------------------------------------------------


def test_files_are_replaced_with_force_only(written, capsys):
    name = str(written / "report.html")
    before = (written / "report.html").read_bytes()
    assert cli.main([*WINE, "--html", name]) == 2
    assert "report.html exists already" in capsys.readouterr().err
    assert cli.main([*WINE, "--html", name, "--json", name, "--force"]) == 2
    assert "must name two files" in capsys.readouterr().err
    assert (written / "report.html").read_bytes() == before
    assert cli.main([*WINE, "--html", str(written / "no" / "report.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_what_a_diagnosis_offers(document, tmp_path):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(130, 14))
    labels = features[:, 0] + rng.normal(size=130) > 0
    found = gt.diagnose(gt.Problem(features, labels, np.arange(130) < 9, ridge=0.05))
    numbers = found.to_dict()
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    assert numbers.keys() == document.keys()

    frame = found.to_frame()
    assert frame.columns == ["quantity", "given", "other"]
    row = dict(zip(frame["quantity"], frame["given"], strict=True))
    assert row["pretrain_distance"] == found.given.pretrain_distance
    assert row["bounded_below"] == 1.0

    figure = found.plot()
    curve = figure.axes[0].lines[1].get_xydata()
    np.testing.assert_array_equal(curve[:, 0], numbers["course"]["strengths"])

    shown = found._repr_html_()
    assert found.verdict in re.sub("<[^>]+>", "", shown)
    assert "<table>" in shown

    path = tmp_path / "report.html"
    text = found.to_html(path)
    assert path.read_text("utf-8") == text
    check(text, numbers)
    with pytest.raises(FileExistsError, match="exists already"):
        found.to_html(path)
    assert "feature 0" in text
