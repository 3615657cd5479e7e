"""Text as sequences of tokens: byte-pair encoding, whole chapters held out, windows, words.

White space is simplified first: lines of one paragraph are joined, and a blank line becomes one
line break. The encoding is learned on the training chapters alone. It is part of the saved model.
"""

import base64
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from rhm_theory.denoisers.masked import MaskedDiffusion, read_notes
from rhm_theory.denoisers.text.corpora import Corpus
from theory_common import checks

if TYPE_CHECKING:
    from tokenizers import Tokenizer

KIND = "text"
BYTES = 256  # symbols that every byte-pair encoding has
WORD_BEGINS = ("Ġ", "Ċ")  # how the encoding writes a space and a line break
CLAUSE_ENDS = frozenset(",;:.!?—Ċ")
SENTENCE_ENDS = frozenset(".!?Ċ")


class TextData(NamedTuple):
    """A corpus in tokens.

    Attributes:
        name: of the corpus.
        encoding: the byte-pair encoding, as JSON of the library ``tokenizers``.
        vocabulary: how many tokens the encoding has.
        training: the tokens of the training chapters.
        held_out: the tokens of the other chapters.
        held_out_titles: their titles.
    """

    name: str
    encoding: str
    vocabulary: int
    training: tuple[Int[np.ndarray, " _training"], ...]
    held_out: tuple[Int[np.ndarray, " _held_out"], ...]
    held_out_titles: tuple[str, ...]


class Starts(NamedTuple):
    """Windows of held-out text.

    Attributes:
        tokens: of each window.
        chapter: the number of the held-out chapter that a window is from. Errors are clustered by
            it.
    """

    tokens: Int[np.ndarray, "starts length"]
    chapter: Int[np.ndarray, " starts"]


class TextModel(NamedTuple):
    """A trained model of text.

    Attributes:
        model: the network.
        data: the corpus that it was trained on, with the encoding.
        notes: what else was saved, such as the losses.
    """

    model: MaskedDiffusion
    data: TextData
    notes: dict


def simplified(text: str) -> str:
    """The text with lines of a paragraph joined, and one line break between paragraphs."""
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    return "\n".join(part for part in paragraphs if part)


def prepare(
    corpus: Corpus, *, vocabulary: int = 1024, length: int = 64, every: int = 10
) -> TextData:
    """Split a corpus, learn a byte-pair encoding, and encode it.

    Args:
        corpus: with at least 2 chapters.
        vocabulary: tokens of the encoding, at least 257. All 256 bytes are tokens.
        length: of the sequences. Chapters that are shorter are left out.
        every: which chapters are held out: number ``every // 2``, and each ``every``-th after it.

    Raises: ``ValueError`` that names the argument, for a corpus that is too small for it.
    """
    vocabulary = checks.whole("vocabulary", vocabulary, least=BYTES + 1)
    length = checks.whole("length", length, least=2)
    every = checks.whole("every", every, least=2)
    chapters = [simplified(text) for text in corpus.chapters]
    if len(chapters) < 2:
        raise ValueError(
            f"corpus must have at least 2 chapters, so that one can be held out, "
            f"got {len(chapters)} in {corpus.name}"
        )
    first = min(every // 2, len(chapters) - 1)
    out = {number for number in range(len(chapters)) if number % every == first}
    encoding = _learned(
        [text for number, text in enumerate(chapters) if number not in out], vocabulary
    )
    found = encoding.get_vocab_size()
    if found < vocabulary:
        raise ValueError(
            f"vocabulary must be at most {found}, which is all that the training text of "
            f"{corpus.name} gives, got {vocabulary}"
        )
    tokens = [np.array(one.ids, np.int32) for one in encoding.encode_batch(chapters)]
    long = [number for number, chapter in enumerate(tokens) if len(chapter) >= length]
    parts = {
        "training": [number for number in long if number not in out],
        "held-out": [number for number in long if number in out],
    }
    for name, numbers in parts.items():
        if not numbers:
            raise ValueError(
                f"corpus must have a {name} chapter of at least length = {length} tokens; "
                f"those of {corpus.name} have {[len(chapter) for chapter in tokens][:10]}"
            )
    return TextData(
        name=corpus.name,
        encoding=encoding.to_str(),
        vocabulary=vocabulary,
        training=tuple(tokens[number] for number in parts["training"]),
        held_out=tuple(tokens[number] for number in parts["held-out"]),
        held_out_titles=tuple(corpus.titles[number] for number in parts["held-out"]),
    )


def drawn_windows(
    chapters: Sequence[Int[np.ndarray, " _"]], length: int
) -> Callable[[np.random.Generator, int], Int[np.ndarray, "count length"]]:
    """A function that draws windows of all chapters, each place equally likely, for training."""
    joined = np.concatenate(chapters)
    sizes = np.array([len(chapter) for chapter in chapters])
    begins = np.repeat(np.cumsum(sizes) - sizes, sizes - length + 1)
    offsets = np.concatenate([np.arange(size - length + 1) for size in sizes])
    places = begins + offsets

    def draw(generator: np.random.Generator, count: int) -> Int[np.ndarray, "count length"]:
        chosen = places[generator.integers(len(places), size=count)]
        return joined[chosen[:, None] + np.arange(length)]

    return draw


def starts(chapters: Sequence[Int[np.ndarray, " _"]], length: int, count: int) -> Starts:
    """Up to ``count`` windows that do not overlap, the same number from each chapter if it can be.

    Args:
        chapters: of held-out text.
        length: of a window.
        count: at least 1.
    """
    count = checks.whole("count", count, least=1)
    found = []
    for number, chapter in enumerate(chapters):
        whole = len(chapter) // length
        windows = chapter[: whole * length].reshape(whole, length)
        found += [(turn, number, window) for turn, window in enumerate(_spread(windows))]
    # First one window of each chapter, then a second one, and so on.
    found.sort(key=lambda one: one[:2])
    chosen = found[:count]
    return Starts(
        tokens=np.stack([window for _, _, window in chosen]).astype(np.int32),
        chapter=np.array([number for _, number, _ in chosen]),
    )


def _spread(windows: np.ndarray) -> np.ndarray:
    """The windows in an order in which the first ones lie far apart.

    A chapter's first window comes late. It holds the heading, which no other window is like.
    """
    golden = (0.5 + np.arange(len(windows)) * 0.6180339887498949) % 1
    return windows[np.argsort(golden, kind="stable")]


def words(
    encoding: "Tokenizer", tokens: Int[np.ndarray, "*batch length"]
) -> Int[np.ndarray, "*batch length"]:
    """The number of the word that each token belongs to, counted from the start of its window.

    A word begins at a token with a space or line break before it, and at punctuation.
    """
    pieces = _pieces(encoding)
    begins = np.array([_begins_word(piece) for piece in pieces])
    return np.cumsum(begins[tokens], -1)


def ends(encoding: "Tokenizer", marks: frozenset[str] = CLAUSE_ENDS) -> Bool[np.ndarray, " v"]:
    """For each token whether it contains one of the punctuation marks."""
    return np.array([bool(marks & set(piece)) for piece in _pieces(encoding)])


def save(
    path: str | Path, model: MaskedDiffusion, data: TextData, further: dict, *, force: bool = False
) -> None:
    """Write a model of text with its encoding and its corpus, on which controls are fitted.

    Args:
        path: the file.
        model: the network.
        data: what it was trained on.
        further: notes that JSON holds.
        force: whether a file of that name may be replaced.

    Raises: ``OSError`` as :meth:`MaskedDiffusion.save` does.
    """
    notes = {
        "kind": KIND,
        "corpus": data.name,
        "encoding": data.encoding,
        "training": _packed(data.training),
        "held_out": _packed(data.held_out),
        "held_out_titles": list(data.held_out_titles),
        **further,
    }
    model.save(path, notes=notes, force=force)


def load(path: str | Path) -> TextModel:
    """A model of text that :func:`save` wrote.

    Raises: ``OSError`` or ``ValueError`` as :meth:`MaskedDiffusion.load`; ``ValueError`` for a
        model of something else.
    """
    notes = read_notes(path)
    if notes.get("kind") != KIND:
        raise ValueError(f"{path} must hold a model of text, got one of {notes.get('kind')!r}")
    model = MaskedDiffusion.load(path)
    data = TextData(
        name=notes["corpus"],
        encoding=notes["encoding"],
        vocabulary=model.vocabulary,
        training=_unpacked(notes["training"]),
        held_out=_unpacked(notes["held_out"]),
        held_out_titles=tuple(notes["held_out_titles"]),
    )
    return TextModel(model=model, data=data, notes=notes)


def encoding_of(data: TextData) -> "Tokenizer":
    """The encoding, which turns text into tokens and back."""
    from tokenizers import Tokenizer

    return Tokenizer.from_str(data.encoding)


def _packed(chapters: Sequence[Int[np.ndarray, " _"]]) -> dict:
    """Tokens as text that JSON holds: about 1.5 bytes each."""
    content = np.concatenate(chapters).astype("<u4").tobytes()
    sizes = [len(chapter) for chapter in chapters]
    return {"sizes": sizes, "tokens": base64.b64encode(zlib.compress(content, 9)).decode()}


def _unpacked(packed: dict) -> tuple[Int[np.ndarray, " _"], ...]:
    content = zlib.decompress(base64.b64decode(packed["tokens"]))
    tokens = np.frombuffer(content, "<u4").astype(np.int32)
    return tuple(np.split(tokens, np.cumsum(packed["sizes"])[:-1]))


def _learned(texts: Sequence[str], vocabulary: int) -> "Tokenizer":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    encoding = Tokenizer(models.BPE())
    encoding.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoding.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    encoding.train_from_iterator(texts, trainer)
    return encoding


def _pieces(encoding: "Tokenizer") -> list[str]:
    return [encoding.id_to_token(number) or "" for number in range(encoding.get_vocab_size())]


def _begins_word(piece: str) -> bool:
    return piece.startswith(WORD_BEGINS) or not piece[0].isalnum()
