"""What text may be where people read it and databases keep it."""

import re
import unicodedata

NOT_PLAIN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, the two separators that end a line, and halves of a surrogate pair."""
BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols by their category that show nothing: fillers of Hangul, and an empty Braille pattern."""


def is_plain(text: str) -> bool:
    """Whether the text is one line without control characters, so that pages, logs and databases take it."""
    return NOT_PLAIN.search(text) is None


def is_visible(text: str) -> bool:
    """Whether there is something to see in it: a letter, a digit, a mark of punctuation or a symbol."""
    return any(unicodedata.category(each)[0] in "LNPS" and each not in BLANKS for each in text)
