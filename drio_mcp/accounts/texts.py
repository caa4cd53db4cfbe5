"""What people type about themselves, brought into one form or refused."""

import unicodedata

from drio_mcp.errors import Problem, ValidationFailed

LONGEST_EMAIL = 254
"""RFC 5321 section 4.5.3.1.3, less the angle brackets."""
LONGEST_NAME = 100


def clean_email(text: str) -> str:
    """The address in lower case, without surrounding space. Raises `ValidationFailed` unless it looks like one."""
    email = unicodedata.normalize("NFC", text).strip().lower()
    local, _, domain = email.rpartition("@")
    if len(email) > LONGEST_EMAIL:
        raise ValidationFailed([Problem("email", f"Use at most {LONGEST_EMAIL} characters")])
    if not local or not domain or "@" in local or not is_plain(email) or " " in email:
        raise ValidationFailed([Problem("email", "Enter an e-mail address, like ada@example.com")])
    return email


def clean_name(text: str) -> str:
    """The name without surrounding space. Raises `ValidationFailed` when empty, long or with control characters."""
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise ValidationFailed([Problem("name", "Enter a name")])
    if len(name) > LONGEST_NAME:
        raise ValidationFailed([Problem("name", f"Use at most {LONGEST_NAME} characters")])
    if not is_plain(name):
        raise ValidationFailed([Problem("name", "Leave out control characters")])
    return name


def is_plain(text: str) -> bool:
    """Whether the text has neither control characters nor halves of a surrogate pair, which no database keeps."""
    return not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in text)
