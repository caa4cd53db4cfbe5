import pytest

from drio_mcp.oauth.client_names import harmless_name, imitates_latin, mixes_scripts, shown_host


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Claude Code", "Claude Code"),
        ("  Two \t lines\r\nof text ", "Two lines of text"),
        ("Safe\u202egnirts\u202c", "Safegnirts"),
        ("\u2066a\u2069\u200f\u200e\u061cb", "ab"),
        ("in\u200bvi\u2060si\ufeffble\u00ad", "invisible"),
        ("nul\x00 bell\x07 escape\x1b[31m", "nul bell escape[31m"),
        ("Q\u0301\u0302\u0303\u0304\u0305uiet", "Q\u0301\u0302uiet"),
        ("\U0001d402\U0001d425\U0001d41a\U0001d42e\U0001d41d\U0001d41e", "Claude"),
        ("\ud800half", "half"),
        ("\ue000private", "private"),
        ("日本語クライアント", "日本語クライアント"),
        ("Robot 🤖", "Robot 🤖"),
        ("", "A client without a name"),
        ("\u200b \u202e", "A client without a name"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_what_remains_of_a_name(name: str, shown: str) -> None:
    assert harmless_name(name) == shown


@pytest.mark.parametrize("name", ["x" * 10_000, "word " * 2_000, "x\u0301" * 10_000, "\ufdfa" * 10_000])
def test_a_name_of_any_length_is_cut_to_sixty_characters(name: str) -> None:
    shown = harmless_name(name)
    assert len(shown) <= 60
    assert shown.endswith("…")


@pytest.mark.parametrize("name", ["Cl\u0430ude", "\u0421laude", "\u039fpenAI", "Clau\u0501e", "\u13f3laude"])
def test_letters_that_look_alike_in_one_name_are_noticed(name: str) -> None:
    assert mixes_scripts(harmless_name(name))


@pytest.mark.parametrize(
    "name", ["Claude", "Клиент 2", "Πελάτης", "クライアント for Windows", "Zoë’s app 🤖", "日本 MCP", ""]
)
def test_names_in_one_alphabet_or_in_unlike_ones_are_not(name: str) -> None:
    assert not mixes_scripts(name)


def test_an_international_host_is_shown_in_its_ascii_form() -> None:
    assert shown_host("claude.ai") == "claude.ai"
    assert shown_host("cl\u0430ude.ai") == "xn--clude-5ve.ai"
    assert shown_host("\u0430" * 100 + ".ai") == "an unreadable host name"


@pytest.mark.parametrize("name", ["СоԁеХ", "Ѕсоре", "Сора ԌРТ", "ᏟᎪᏞᎬ", "Ορορο"])
def test_words_wholly_of_another_alphabet_that_look_latin_are_noticed(name: str) -> None:
    assert imitates_latin(harmless_name(name))


@pytest.mark.parametrize("name", ["Claude", "Клиент 2", "Πελάτης", "日本 MCP", "Редактор кода", ""])
def test_words_that_do_not_look_latin_are_not(name: str) -> None:
    assert not imitates_latin(name)
