"""Scopes of other services in words, as far as their names tell: a person should know what they are asked to allow."""

import re

KNOWN = {
    "openid": "Know which account you have there",
    "profile": "See your name and picture there",
    "email": "See your e-mail address there",
    "offline_access": "Stay connected while you are away",
    "refresh_token": "Stay connected while you are away",
    "read": "Read what you can read there",
    "write": "Change what you can change there",
    "admin": "Do there what only administrators may",
    "api": "Do there what you can do",
    "full": "Do there what you can do",
}
VERBS = {
    "read": "Read {}",
    "readonly": "Read {}",
    "view": "Read {}",
    "list": "List {}",
    "write": "Change {}",
    "edit": "Change {}",
    "update": "Change {}",
    "modify": "Change {}",
    "readwrite": "Read and change {}",
    "create": "Create {}",
    "delete": "Delete {}",
    "send": "Send {}",
    "manage": "Manage {}",
    "admin": "Manage {}",
    "search": "Search {}",
    "export": "Export {}",
    "import": "Import {}",
}
LONGEST = 120


def scope_in_words(scope: str) -> str:
    """What the scope allows, by its name: `contacts:read` is "Read contacts". Its own text where that tells nothing."""
    known = KNOWN.get(scope.lower())
    if known is not None:
        return known
    name = scope.rstrip("/").rpartition("/")[2] if "://" in scope else scope
    parts = [part for part in re.split(r"[:./]", name) if part]
    verbs = [part for part in parts if part.lower() in VERBS]
    things = [_spaced(part) for part in parts if part.lower() not in VERBS and part.lower() not in {"all", "auth"}]
    if len(verbs) != 1 or not things:
        return scope[:LONGEST]
    return VERBS[verbs[0].lower()].format(" ".join(things))[:LONGEST]


def _spaced(part: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", part).replace("_", " ").replace("-", " ").lower()
