"""What is shown while something runs: on a terminal only, and gone at the end."""

import io

import pytest

from theory_common.printing.waiting import counted, shown_while


class Terminal(io.StringIO):
    """A terminal in memory."""

    def isatty(self):
        return True


def test_a_terminal_shows_the_text(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with shown_while("reading [3] files", terminal):
        pass
    assert "reading [3] files" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K")


def test_a_pipe_shows_nothing(capsys):
    with shown_while("reading"):
        pass
    assert capsys.readouterr() == ("", "")


def test_an_error_passes():
    with pytest.raises(KeyboardInterrupt), shown_while("reading", Terminal()):
        raise KeyboardInterrupt


def test_a_bar_counts_to_its_end_and_disappears(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with counted("comparing [2] models", 4, terminal) as advance:
        for _ in range(4):
            advance()
    assert "comparing [2] models" in terminal.getvalue()
    assert "100%" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")


def test_a_bar_is_not_shown_in_a_pipe(capsys):
    with counted("comparing", 2) as advance:
        advance()
    assert capsys.readouterr() == ("", "")
