"""What commands are given: standard input, and how long something is to work."""

import sys

import click

LIFETIME = click.IntRange(1, 315_360_000)
"""Seconds, up to ten years: what is longer is a slip, and no number that a database holds."""


def is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def first_line(option: str, what: str) -> str:
    """The first line of standard input, which `option` asked for; `what` names it, as in "password".

    Raises `click.UsageError` where there is none.
    """
    try:
        line = "" if sys.stdin is None else sys.stdin.readline().rstrip("\r\n")
        line.encode()  # where the locale is no UTF-8, bytes that are none come as halves of surrogate pairs
    except UnicodeError:
        raise click.UsageError(f"{option}: the {what} on standard input is no UTF-8 text", _context()) from None
    if not line:
        raise click.UsageError(f"{option} found no {what} on standard input", _context())
    return line


def _context() -> click.Context | None:
    return click.get_current_context(silent=True)
