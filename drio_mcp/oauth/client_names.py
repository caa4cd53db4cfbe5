"""Names that clients give themselves: made harmless where they come in, and once more where they are shown.

Escaping markup is the templates' work. What remains are characters that a browser, a terminal or a model reads
faithfully and that still deceive: control characters, reversed text, invisible characters, piles of accents, and
letters of one script that look like another's.
"""

import unicodedata

from drio_mcp.outside import normalized

LONGEST = 60
MOST_ACCENTS = 2
DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
LATIN_SHAPES = frozenset(
    "АВСЕНІЈКМОРЅТХҮԌԚԜЗБаьсԁеһіјӏорԛѕуѵхԝвгкмптгзбѡ"  # Cyrillic
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαγιοορυνκωτχ"  # Greek
    "ՍՕօոսցհկյշզԼՏ"  # Armenian
    "ᎠᎡᎢᎪᎫᎬᎳᎷᎻᏀᏃᏆᏎᏒᏔᏚᏢᏙᏟᏞᏀᏴᏂᏯᏰ"  # Cherokee
)
"""Letters of other scripts that are drawn like Latin ones (Unicode Technical Standard 39, confusables)."""
SHORTEST_IMITATION = 3
LOOK_ALIKE_SCRIPTS = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "GEORGIAN"})
"""Scripts that share shapes: a name that mixes two of them was hardly written by accident."""


def harmless_name(name: str, otherwise: str = "A client without a name", longest: int = LONGEST) -> str:
    """The name in one line of at most `longest` characters, without control, bidi and invisible characters."""
    kept: list[str] = []
    accents = 0
    for character in normalized("NFKC", name[: 20 * longest], 20 * longest):
        category = unicodedata.category(character)
        if character.isspace():
            character, category = " ", "Zs"
        if category in DROPPED:
            continue
        accents = accents + 1 if category in {"Mn", "Me"} else 0
        if accents <= MOST_ACCENTS:
            kept.append(character)
    text = " ".join("".join(kept).split())
    if len(text) > longest:
        text = text[: longest - 1].rstrip() + "…"
    return text or otherwise


def mixes_scripts(name: str) -> bool:
    """Whether letters of scripts that look alike stand in one name, as in a Latin name with a Cyrillic `a`."""
    scripts = {unicodedata.name(character, "?").split()[0] for character in name if character.isalpha()}
    return len(scripts & LOOK_ALIKE_SCRIPTS) > 1


def imitates_latin(name: str) -> bool:
    """Whether every letter of a word is one of another script that is drawn like a Latin one."""
    return any(
        len(letters) >= SHORTEST_IMITATION and LATIN_SHAPES.issuperset(letters)
        for letters in ([each for each in word if each.isalpha()] for word in name.split())
    )


def shown_host(host: str) -> str:
    """A host as ASCII: an internationalized name in its `xn--` form, which cannot look like another."""
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return "an unreadable host name"
