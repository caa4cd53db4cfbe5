from tests.pages.conftest import PASSWORD, Site, Visitor


async def test_the_start_page_shows_the_address_and_every_client(open_site: Site) -> None:
    page = await open_site.visitor().get("/")
    assert page.status_code == 200
    assert "https://drio.example.com/mcp" in page.text
    for client in ("Claude", "ChatGPT", "Claude Code", "Codex", "Cursor", "VS Code", "Gemini CLI"):
        assert f'<span class="name">{client}</span>' in page.text
    assert 'href="cursor://anysphere.cursor-deeplink/mcp/install?' in page.text
    assert 'href="vscode:mcp/install?' in page.text
    assert "cannot reach this computer" not in page.text


async def test_on_ones_own_computer_it_says_who_cannot_reach_it(visitor: Visitor) -> None:
    page = await visitor.get("/")
    assert page.text.count("cannot reach this computer") == 2


async def test_before_the_first_account_it_says_how_to_make_it(site: Site, visitor: Visitor) -> None:
    assert "drio-mcp setup-link" in (await visitor.get("/")).text
    await site.person()
    assert "drio-mcp setup-link" not in (await visitor.get("/")).text
    await visitor.sign_in(password=PASSWORD)
    assert "Signed in as ada@example.com" in (await visitor.get("/")).text


async def test_the_address_comes_from_the_settings_and_not_from_the_request(open_site: Site) -> None:
    """Host-header poisoning."""
    page = await open_site.visitor(host="evil.example").get("/")
    assert "evil.example" not in page.text
