"""How far a command has come that works long."""

import sys
from typing import Any, cast

import click

LINES = 10  # of progress, where there is no terminal


class Progress:
    """A bar on a terminal, a few plain lines elsewhere. Called with how much is done, and of how much."""

    def __init__(self, label: str) -> None:
        self._label, self._bar, self._done, self._of, self._lines = label, cast(Any, None), 0, 0, 0

    def __call__(self, done: int, of: int) -> None:
        if of != self._of or done < self._done:  # something new begins
            self.close()
            self._of = of
            if sys.stderr.isatty():
                self._bar = click.progressbar(length=of, label=self._label, file=sys.stderr)
                self._bar.render_progress()
        if self._bar:
            self._bar.update(done - self._done)
        elif of and done * LINES // of > self._lines:
            self._lines = done * LINES // of
            click.echo(f"{self._label}: {done} of {of}", err=True)
        self._done = done

    def close(self) -> None:
        """Ends the bar, so that what is printed next begins on a line of its own."""
        if self._bar:
            self._bar.render_finish()
        self._bar, self._done, self._of, self._lines = None, 0, 0, 0
