"""Names that clients give themselves, made harmless for a person's eyes.

Escaping markup is the templates' work. What remains are characters that a browser renders faithfully and that still
deceive: reversed text, invisible characters, piles of accents, and letters of one script that look like another's.
"""

import unicodedata

from drio_mcp.outside import normalized

LONGEST = 60
MOST_ACCENTS = 2
DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
LOOK_ALIKE_SCRIPTS = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "GEORGIAN"})
"""Scripts that share shapes: a name that mixes two of them was hardly written by accident."""


def harmless_name(name: str, otherwise: str = "A client without a name") -> str:
    """The name in one line of at most 60 characters, without control, bidi and invisible characters."""
    kept: list[str] = []
    accents = 0
    for character in normalized("NFKC", name[: 20 * LONGEST], 20 * LONGEST):
        category = unicodedata.category(character)
        if character.isspace():
            character, category = " ", "Zs"
        if category in DROPPED:
            continue
        accents = accents + 1 if category in {"Mn", "Me"} else 0
        if accents <= MOST_ACCENTS:
            kept.append(character)
    text = " ".join("".join(kept).split())
    if len(text) > LONGEST:
        text = text[: LONGEST - 1].rstrip() + "…"
    return text or otherwise


def mixes_scripts(name: str) -> bool:
    """Whether letters of scripts that look alike stand in one name, as in a Latin name with a Cyrillic `a`."""
    scripts = {unicodedata.name(character, "?").split()[0] for character in name if character.isalpha()}
    return len(scripts & LOOK_ALIKE_SCRIPTS) > 1


def shown_host(host: str) -> str:
    """A host as ASCII: an internationalized name in its `xn--` form, which cannot look like another."""
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return "an unreadable host name"
