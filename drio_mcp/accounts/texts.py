"""What people type about themselves, brought into one form or refused."""

from drio_mcp.errors import Problem, ValidationFailed
from drio_mcp.outside import normalized
from drio_mcp.text import is_plain, is_visible

LONGEST_EMAIL = 254
"""RFC 5321 section 4.5.3.1.3, less the angle brackets."""
LONGEST_NAME = 100


def clean_email(text: str) -> str:
    """The address in lower case, without surrounding space. Raises `ValidationFailed` unless it looks like one."""
    email = _in_one_form("email", text, LONGEST_EMAIL).lower()
    local, _, domain = email.rpartition("@")
    if not local or not domain or "@" in local or not is_plain(email) or " " in email:
        raise ValidationFailed([Problem("email", "Enter an e-mail address, like ada@example.com")])
    return email


def clean_name(text: str) -> str:
    """The name without surrounding space. Raises `ValidationFailed` when empty, long or with control characters."""
    name = _in_one_form("name", text, LONGEST_NAME)
    if not is_visible(name):
        raise ValidationFailed([Problem("name", "Enter a name")])
    if not is_plain(name):
        raise ValidationFailed([Problem("name", "Leave out control characters")])
    return name


def _in_one_form(path: str, text: str, longest: int) -> str:
    """The text composed and without surrounding space. What is too long is refused before any work is done on it."""
    try:
        cleaned = normalized("NFC", text, 4 * longest).strip()
        if len(cleaned) > longest:
            raise ValueError
    except ValueError:
        raise ValidationFailed([Problem(path, f"Use at most {longest} characters")]) from None
    return cleaned
