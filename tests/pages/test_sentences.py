"""What pages say of a connection: one plain sentence per code that names the service, and the rest folded."""

import pytest

from drio_mcp.connections.diagnosis_codes import CODES, Code
from drio_mcp.pages.sentences import SENTENCES
from tests.pages.conftest import Site, Visitor
from tests.pages.console import OAUTH, Console, open_console

PROTOCOL = ("token", "grant", "scope", "endpoint", "origin", "metadata", "issuer", "client id", "authorization server")


@pytest.fixture
async def console(site: Site, visitor: Visitor) -> Console:
    return await open_console(site, visitor)


def test_every_code_has_a_sentence() -> None:
    assert set(SENTENCES) == set(CODES)


@pytest.mark.parametrize("code", Code)
def test_sentences_name_the_service_and_no_protocol(code: Code) -> None:
    sentence = SENTENCES[code]
    assert "{service}" in sentence
    assert not sentence.endswith(".")
    words = sentence.lower().replace("key, token or password", "")
    assert not [word for word in PROTOCOL if word in words]


async def test_the_providers_own_words_are_folded(console: Console) -> None:
    auth = await console.create({**OAUTH, "name": "Books"})
    recorded = "reauthorization_required: The token endpoint refused the grant (invalid_grant)"
    await console.record(auth, "needs_reauth", recorded)
    page = (await console.visitor.get(console.at(auth))).text
    assert "Books no longer accepts what you allowed. Allow it again: one click." in page
    folded = page[page.index("<details") : page.index("</details>")]
    assert "The token endpoint refused the grant" in folded
    assert page.count("The token endpoint refused the grant") == 1
    assert "reauthorization_required" not in page.replace(folded, "")


async def test_who_needs_the_person_comes_first(console: Console) -> None:
    fine = await console.create({**OAUTH, "name": "Fine"})
    broken = await console.create({**OAUTH, "name": "Broken"})
    await console.record(fine, "valid", "")
    await console.record(broken, "needs_reauth", "reauthorization_required: The grant was refused")
    page = (await console.visitor.get(console.path)).text
    assert page.index(">Broken<") < page.index(">Fine<")


async def test_many_connections_are_counted_and_found_by_name(console: Console) -> None:
    """Also beyond the first page, and without scripts."""
    for number in range(12):
        await console.create({**OAUTH, "name": f"Books {number}"})
    assert "12 connections" in (await console.visitor.get(console.path)).text
    page = (await console.visitor.get(f"{console.path}?q=BOOKS+11")).text
    assert ">Books 11<" in page
    assert ">Books 1<" not in page
    assert "None is called that" in (await console.visitor.get(f"{console.path}?q=%3Cscript%3E")).text
