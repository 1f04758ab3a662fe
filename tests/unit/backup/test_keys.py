"""Keys of the ring: what is weak is refused, what is signed cannot be changed."""

import pytest

from herald_pipelines.backup.keys import (
    Forged,
    KeyRing,
    estimate_bits,
    passphrase_key,
    recipients_key,
)
from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.resources.gpg import Recipients

OLD = passphrase_key("kJ8s0dpqLmvTz4Xr9NwQ2yBhCfGaEu7R", "old")
NEW = passphrase_key("Zt5w1HnYb3VcMx9KqLs7DjFg2RpUaE8i", "new")
DOCUMENT = {"id": "shop-1", "parts": [{"bytes": 1, "name": "dümp"}], "at": None, "share": 0.1}


@pytest.mark.parametrize(
    "passphrase",
    ["", "secret", "hunter2hunter2", "a" * 500, "abababababababababababababababab", "correct horse"],
)
def test_what_is_easily_guessed_is_refused(passphrase: str) -> None:
    with pytest.raises(UsageError, match="too easily guessed") as caught:
        passphrase_key(passphrase, "the passphrase {file: key}")

    assert "openssl rand" in str(caught.value)
    assert not passphrase or passphrase not in str(caught.value)


def test_what_openssl_makes_is_strong_enough() -> None:
    assert estimate_bits("q0cY0Y0dP1uHB0X5t6E9xqV3nUOL1kQXy8F0kGmYzQo=") > 160


def test_more_than_one_line_is_no_passphrase() -> None:
    with pytest.raises(UsageError, match="more than one line"):
        passphrase_key("kJ8s0dpqLmvTz4Xr9NwQ\n2yBhCfGaEu7R", "x")


def test_a_key_shows_nothing_of_its_secret() -> None:
    assert "kJ8s0dpq" not in repr(OLD) + repr(KeyRing((OLD,))) + OLD.fingerprint
    assert len(OLD.fingerprint) == 16
    assert OLD.fingerprint != NEW.fingerprint


def test_a_fingerprint_is_the_same_on_every_machine() -> None:
    """Manifests of ten years ago name it."""
    assert OLD.fingerprint == "463e86587f0e8be8"


def test_what_was_signed_comes_back() -> None:
    signed = KeyRing((OLD,)).sign(DOCUMENT)

    assert KeyRing((NEW, OLD)).verify(signed, "it") == DOCUMENT


@pytest.mark.parametrize(
    "change",
    [
        {"id": "shop-2"},
        {"parts": []},
        {"at": "2026"},
        {"share": 0.2},
        {"more": 1},
        {"signature": {"key": OLD.fingerprint, "hmac_sha256": "0" * 64}},
    ],
)
def test_what_was_changed_is_forged(change: dict[str, object]) -> None:
    signed = KeyRing((OLD,)).sign(DOCUMENT) | change

    with pytest.raises(Forged, match="it was changed after it was signed"):
        KeyRing((OLD,)).verify(signed, "it")


@pytest.mark.parametrize(
    "signature", [None, "x", [], {}, {"key": 1, "hmac_sha256": "x"}, {"key": OLD.fingerprint}]
)
def test_what_is_not_signed_is_nobodys(signature: object) -> None:
    with pytest.raises(Forged, match="it is not signed"):
        KeyRing((OLD,)).verify({**DOCUMENT, "signature": signature}, "it")


def test_a_key_that_left_the_ring_is_named() -> None:
    signed = KeyRing((OLD,)).sign(DOCUMENT)

    with pytest.raises(Forged, match=f"not in the ring: '{OLD.fingerprint}'") as caught:
        KeyRing((NEW,)).verify(signed, "it")
    with pytest.raises(PermanentFailure, match=f"known: {NEW.fingerprint}"):
        KeyRing((NEW,)).find(OLD.fingerprint)

    assert "backup.passphrases" in str(caught.value)


def test_public_keys_sign_with_a_secret_of_their_own() -> None:
    key = recipients_key(Recipients(("A" * 40,)), "kJ8s0dpqLmvTz4Xr9NwQ2yBhCfGaEu7R", "x")

    assert key.secret == Recipients(("A" * 40,))
    with pytest.raises(UsageError, match="too easily guessed"):
        recipients_key(Recipients(("A" * 40,)), "short", "x")
