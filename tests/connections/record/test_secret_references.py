"""`env:` and `file:` references: for operators, and only where they may be (contract section 3, `secretRef`)."""

import os
from pathlib import Path

import pytest

from drio_mcp.connections.record.secret_references import SecretReferences, SecretUnavailable
from tests.connections.desk import KEY, Desk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "key.txt").write_text("deep secret\n")
    (tmp_path / "outside.txt").write_text("not yours")
    (folder / "out").symlink_to(tmp_path / "outside.txt")
    (folder / "in").symlink_to("deep/key.txt")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    (folder / "large").write_text("x" * 70_000)
    for name in ("deep/key.txt", "in", "large", "pipe", "out", "none"):
        (folder / f"{name}.origins").write_text("https://other.example\n\nhttps://api.example\n")
    return folder


HOME = "https://api.example"
ENVIRON = {
    "DRIO_SECRET_A": "a value",
    "DRIO_SECRET_A_ORIGINS": " https://other.example,HTTPS://API.example:443/ ",
    "DRIO_SECRET_DIR": "/run",
    "DRIO_KEYS": "ring",
    "PATH": "/bin",
}


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("env:DRIO_SECRET_A", "a value"),
        ("file:deep/key.txt", "deep secret"),
        ("file:in", "deep secret"),
        ("file:deep/../deep/key.txt", "deep secret"),
    ],
)
def test_what_may_be_named_is_read(folder: Path, reference: str, value: str) -> None:
    references = SecretReferences(folder, ENVIRON)
    assert references.problem(reference) is None
    assert references.read(reference, HOME).reveal() == value


@pytest.mark.parametrize(
    "reference",
    [
        "env:DRIO_KEYS",
        "env:PATH",
        "env:DRIO_SECRET_",
        "env:DRIO_SECRET_DIR",
        "env:DRIO_SECRET_A_ORIGINS",
        "file:in.origins",
        "env:drio_secret_a",
        "env:DRIO_SECRET_A\n",
        "file:",
        "file:.",
        "file:../outside.txt",
        "file:/etc/passwd",
        "file:out",
        "file:deep/../../outside.txt",
        "file:a\0b",
        "sealed://auth_other",
        "https://vault.example/secret",
        "DRIO_SECRET_A",
    ],
)
def test_nothing_else_can_be_named(folder: Path, reference: str) -> None:
    references = SecretReferences(folder, ENVIRON)
    assert references.problem(reference) is not None
    with pytest.raises(SecretUnavailable):
        references.read(reference, HOME)


@pytest.mark.parametrize("reference", ["env:DRIO_SECRET_B", "file:none", "file:deep", "file:pipe", "file:large"])
def test_what_cannot_be_read_now_is_unavailable(folder: Path, reference: str) -> None:
    references = SecretReferences(folder, ENVIRON)
    assert references.problem(reference) is None
    with pytest.raises(SecretUnavailable):
        references.read(reference, HOME)


@pytest.mark.parametrize(
    ("origin", "reference", "named"),
    [
        ("https://evil.example", "env:DRIO_SECRET_A", "DRIO_SECRET_A_ORIGINS"),
        ("https://api.example.evil.example", "env:DRIO_SECRET_A", "DRIO_SECRET_A_ORIGINS"),
        ("http://api.example", "env:DRIO_SECRET_A", "DRIO_SECRET_A_ORIGINS"),
        (HOME, "env:DRIO_SECRET_ALONE", "DRIO_SECRET_ALONE_ORIGINS"),
        ("https://evil.example", "file:deep/key.txt", "deep/key.txt.origins"),
        (HOME, "file:alone", "alone.origins"),
        (None, "env:DRIO_SECRET_A", "proxy"),
    ],
)
def test_a_secret_goes_where_the_operator_said_and_nowhere_else(
    folder: Path, origin: str | None, reference: str, named: str
) -> None:
    """Contract section 1, `DRIO_SECRET_DIR`: the origins stand beside the secret; without them it goes nowhere."""
    (folder / "alone").write_text("a value")
    references = SecretReferences(folder, ENVIRON | {"DRIO_SECRET_ALONE": "a value"})
    with pytest.raises(SecretUnavailable, match=named) as raised:
        references.read(reference, origin)
    assert "evil" not in str(raised.value)


@pytest.mark.parametrize("swapped", ["deep", "deep/key.txt"])
def test_a_folder_that_is_swapped_for_a_link_on_the_way_leads_nowhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    """What is opened is checked, and not what was named: the link is put there between the two."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "key.txt").write_text("not yours")
    references = SecretReferences(folder, {})
    looked = references._locate

    def look_and_swap(reference: str) -> object:
        found = looked(reference)
        if reference == "file:deep/key.txt" and not (folder / swapped).is_symlink():
            (folder / swapped).rename(folder / "aside")
            outside = tmp_path / "elsewhere" / "key.txt" if swapped.endswith(".txt") else tmp_path / "elsewhere"
            (folder / swapped).symlink_to(outside)
        return found

    assert references.read("file:deep/key.txt", HOME).reveal() == "deep secret"
    monkeypatch.setattr(references, "problem", lambda _: None)
    monkeypatch.setattr(references, "_origins_of", lambda _: {HOME})
    monkeypatch.setattr(references, "_locate", look_and_swap)
    with pytest.raises(SecretUnavailable):
        references.read("file:deep/key.txt", HOME)


def test_without_a_folder_there_are_no_files() -> None:
    problem = SecretReferences(None, {}).problem("file:key.txt")
    assert problem is not None
    assert "DRIO_SECRET_DIR" in problem


def test_a_link_in_a_circle_is_no_secret(folder: Path) -> None:
    with pytest.raises(SecretUnavailable):
        SecretReferences(folder, {}).read("file:loop", HOME)


async def test_only_operators_may_refer(operator: Desk) -> None:
    made = await operator.create(KEY | {"status": "valid", "secretRef": "env:DRIO_SECRET_KEY"})
    assert (made.auth.secret_ref, made.auth.status, made.wanted) == ("env:DRIO_SECRET_KEY", "valid", ())


async def test_others_are_refused(desk: Desk) -> None:
    made = await desk.create(KEY)
    assert await desk.refusal(made, {"secretRef": "env:DRIO_SECRET_KEY"}) == ["secretRef"]


async def test_a_reference_and_a_sealed_secret_replace_each_other(operator: Desk) -> None:
    made = await operator.create(KEY | {"config": {**KEY["config"], "apiKey": "k"}})
    referring = await operator.update(made, {"secretRef": "env:DRIO_SECRET_KEY"})
    assert referring.auth.secret_ref == "env:DRIO_SECRET_KEY"
    assert await operator.secret(made, "api_key") is None
    sealed = await operator.update(made, {"config": {"apiKey": "k2"}})
    assert sealed.auth.secret_ref == f"sealed://{made.auth.id}"
    both = {"secretRef": "env:DRIO_SECRET_KEY", "config": {"apiKey": "k3"}}
    assert await operator.refusal(made, both) == ["secretRef"]


async def test_null_clears_a_reference_and_leaves_sealed_secrets(operator: Desk) -> None:
    made = await operator.create(KEY | {"secretRef": "env:DRIO_SECRET_KEY"})
    assert (await operator.update(made, {"secretRef": None})).auth.secret_ref is None
    sealed = await operator.update(made, {"config": {"apiKey": "k"}})
    assert (await operator.update(made, {"secretRef": None})).auth.secret_ref == sealed.auth.secret_ref


async def test_a_new_origin_voids_a_reference(operator: Desk) -> None:
    made = await operator.create(KEY | {"secretRef": "env:DRIO_SECRET_KEY"})
    moved = await operator.update(made, {"config": {"apiBaseUrl": "https://evil.example"}})
    assert moved.auth.secret_ref is None
    assert moved.auth.last_error is not None
    assert moved.auth.last_error.startswith("origin_changed")
