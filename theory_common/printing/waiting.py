"""A sign of life on a terminal while something takes long."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from theory_common.printing.tables import Output, console


@contextlib.contextmanager
def shown_while(text: str, file: Output | None = None) -> Iterator[None]:
    """Show ``text`` and a moving sign while the block runs. It disappears at the end.

    Args:
        text: what is being done, such as ``"reading loans.csv"``.
        file: where it is shown, by default standard error. In a file or a pipe nothing is.
    """
    stream = sys.stderr if file is None else file
    if not stream.isatty():
        yield
        return
    import rich.markup

    with console(stream).status(rich.markup.escape(text)):
        yield


@contextlib.contextmanager
def counted(text: str, total: int, file: Output | None = None) -> Iterator[Callable[[], None]]:
    """Show ``text``, a bar and the time left while the block runs. All disappears at the end.

    Args:
        text: what is being done.
        total: how often the function that the block gets will be called.
        file: where it is shown, by default standard error. In a file or a pipe nothing is.
    """
    stream = sys.stderr if file is None else file
    if not stream.isatty():
        yield lambda: None
        return
    import rich.markup
    from rich.progress import Progress

    with Progress(console=console(stream), transient=True) as bar:
        task = bar.add_task(rich.markup.escape(text), total=total)
        yield lambda: bar.advance(task)
