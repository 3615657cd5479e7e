"""Text becomes tokens; whole chapters are held out; a model of text is trained by a command."""

import functools
import gzip
import json
import struct
import zlib

import numpy as np
import pytest

from rhm_theory import cli
from rhm_theory.denoisers.text import corpora, encoded

SENTENCES = "the cat sat on a mat, and then it ran. What did she say to him? No one knows."
WORDS = SENTENCES.split()


@functools.cache
def corpus(chapters: int = 6, words: int = 300) -> corpora.Corpus:
    generator = np.random.default_rng(0)
    texts = tuple(" ".join(generator.choice(WORDS, size=words)) for _ in range(chapters))
    titles = tuple(f"chapter {number}" for number in range(chapters))
    return corpora.Corpus(name="cats", titles=titles, chapters=texts)


@functools.cache
def data() -> encoded.TextData:
    return encoded.prepare(corpus(), vocabulary=280, length=8, every=3)


def test_chapters_are_kept_apart_and_encoded_without_loss():
    from tokenizers import Tokenizer

    assert data().held_out_titles == ("chapter 1", "chapter 4")
    assert len(data().training) == 4
    encoding = Tokenizer.from_str(data().encoding)
    assert encoding.decode(data().held_out[0].tolist()) == corpus().chapters[1]
    assert encoding.get_vocab_size() == 280
    # Bytes that the training text does not have are encoded too.
    assert encoding.decode(encoding.encode("Zoë ☃").ids) == "Zoë ☃"


def test_words_and_clauses():
    encoding = encoded.encoding_of(data())
    ids = encoding.encode("she knows, then").ids
    pieces = [encoding.id_to_token(one) for one in ids]
    number = encoded.words(encoding, np.array(ids))
    spelled = [
        "".join(p for p, n in zip(pieces, number, strict=True) if n == w) for w in set(number)
    ]
    assert spelled == ["she", "Ġknows", ",", "Ġthen"]
    assert [p for p, end in zip(pieces, encoded.ends(encoding)[ids], strict=True) if end] == [","]


def test_windows_are_consecutive_and_spread_over_chapters():
    draw = encoded.drawn_windows(data().training, 8)
    windows = draw(np.random.default_rng(1), 50)
    joined = [" ".join(map(str, chapter)) for chapter in data().training]
    assert all(any(" ".join(map(str, w)) in one for one in joined) for w in windows)
    found = encoded.starts(data().held_out, 8, 6)
    np.testing.assert_array_equal(found.chapter, [0, 1, 0, 1, 0, 1])
    assert len({tuple(row) for row in found.tokens.tolist()}) == 6


def test_few_windows_are_not_the_headings_of_chapters():
    # A heading repeats. A chain of trigrams had a loss of 3.3 nats there, and of 3.9 elsewhere.
    chapters = [np.arange(80) for _ in range(5)]
    few = encoded.starts(chapters, 8, 10)
    assert few.tokens.min() >= 8
    every = encoded.starts(chapters, 8, 50)
    assert sorted(every.tokens[:, 0].tolist()) == sorted(list(range(0, 80, 8)) * 5)


def test_a_text_is_cut_at_headings_or_by_length():
    body = "It was a fine day. " * 20
    assert len(corpora.chapters_of(f"Title\n\nCHAPTER I\n\n{body}\n\nChapter 2\n\n{body}")) == 2
    pieces = corpora.chapters_of("\n\n".join([body] * 200))
    assert len(pieces) == 4
    assert "".join(pieces) == "\n\n".join([body] * 200)
    assert corpora.chapters_of("") == []
    assert encoded.simplified("one\n  two\n\n\n three ") == "one two\nthree"


def test_the_topics_of_python_do_not_repeat():
    found = corpora.python_topics()
    assert sum(map(len, found.chapters)) > 200_000
    lines = [set(filter(str.strip, one.splitlines())) for one in found.chapters]
    assert all(len(a & b) < len(b) for a in lines for b in lines if a is not b)


def r_string(content: str) -> bytes:
    return struct.pack(">ii", 9, len(content)) + content.encode()


def r_strings(*contents: str) -> bytes:
    return struct.pack(">ii", 16, len(contents)) + b"".join(map(r_string, contents))


def r_named_list(names: list[str], values: list[bytes]) -> bytes:
    names_attribute = struct.pack(">i", 0x402) + struct.pack(">i", 1) + r_string("names")
    end = struct.pack(">i", 254)
    head = struct.pack(">ii", 0x213, len(values))
    return head + b"".join(values) + names_attribute + r_strings(*names) + end


def test_the_data_of_an_r_package_are_read(tmp_path):
    (tmp_path / "data").mkdir()
    head = b"X\n" + struct.pack(">iii", 2, 0x40000, 0x20300)
    body = ["It is a truth. " * 20, "However little known. " * 20]
    lines = ["CHAPTER I", "", body[0], "CHAPTER II", "", body[1]]
    book = zlib.compress(head + r_strings(*lines))
    place = struct.pack(">iiii", 13, 2, 0, len(book) + 4)
    index = r_named_list(["variables"], [r_named_list(["emma"], [place])])
    (tmp_path / "data" / "Rdata.rdx").write_bytes(gzip.compress(head + index))
    (tmp_path / "data" / "Rdata.rdb").write_bytes(struct.pack(">i", len(book)) + book)
    found = corpora.austen(tmp_path)
    assert found.titles == ("emma, chapter 1", "emma, chapter 2")
    assert body[1] in found.chapters[1]
    with pytest.raises(FileNotFoundError, match="janeaustenr"):
        corpora.austen(tmp_path / "data")
    (tmp_path / "data" / "Rdata.rdx").write_bytes(b"broken")
    with pytest.raises(ValueError, match="cannot be read"):
        corpora.austen(tmp_path)


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (b"", [], "corpus must have at least 2 chapters"),
        (b"too short", [], "corpus must have at least 2 chapters"),
        (b"\xff\xfe\x00bad", [], "must be UTF-8 text"),
        (b"zero \x00 byte", [], "got a zero byte at 5"),
        ("\n\n".join(corpus().chapters).encode() * 5, ["--vocabulary", "9000"], "must be at most"),
        ("\n\n".join(corpus().chapters).encode() * 5, ["--vocabulary", "9"], "must be >= 257"),
        ("\n\n".join(corpus().chapters).encode() * 5, ["--length", "1"], "length must be >= 2"),
        (
            "\n\n".join(corpus().chapters).encode() * 5,
            ["--vocabulary", "270", "--length", "99999"],
            "a training chapter of at least length",
        ),
        (
            "\n\n".join(corpus().chapters).encode() * 5,
            ["--vocabulary", "270", "--length", "8", "--steps", "0"],
            "steps must be >= 1",
        ),
    ],
)
def test_bad_text_is_a_clear_error(tmp_path, capsys, content, arguments, message):
    path = tmp_path / "book.txt"
    path.write_bytes(content)
    out = str(tmp_path / "model.eqx")
    assert cli.main(["train", "text", "--corpus", str(path), "--out", out, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "model.eqx").exists()


def test_a_model_is_trained_by_the_command(tmp_path, capsys):
    path = tmp_path / "book.txt"
    path.write_text("\n\n".join(corpus().chapters * 12))
    out = tmp_path / "model.eqx"
    options = "--vocabulary 270 --length 8 --width 16 --layers 1 --heads 2 --steps 3"
    size = options.split()
    command = ["train", "text", "--corpus", str(path), "--out", str(out), *size, "--json"]
    assert cli.main(command) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["losses"]["loss and error"]) == {"model", "unigrams", "bigrams", "trigrams"}
    loaded = encoded.load(out)
    again = encoded.prepare(corpora.from_files([path]), vocabulary=270, length=8)
    assert loaded.model.vocabulary == 270
    for one, other in zip(
        loaded.data.training + loaded.data.held_out, again.training + again.held_out, strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert loaded.data.name == "book.txt"
    assert encoded.encoding_of(loaded.data).get_vocab_size() == 270
    assert cli.main(command) == 2
    assert "exists already" in capsys.readouterr().err
    # A run that begins with this model has its sizes, and needs the same encoding.
    further = ["--out", str(tmp_path / "more.eqx"), "--begin", str(out), "--steps", "1"]
    smaller = ["train", "text", "--corpus", str(path), "--vocabulary", "260", "--length", "8"]
    assert cli.main([*smaller, *further]) == 2
    assert "begin must be a model of the same corpus" in capsys.readouterr().err
    longer = ["train", "text", "--corpus", str(path), "--vocabulary", "270", "--length", "9"]
    assert cli.main([*longer, *further]) == 2
    assert "begin must have {'vocabulary': 270, 'length': 9}" in capsys.readouterr().err
