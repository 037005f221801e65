"""Ids that nobody can guess, tokens that are stored as hashes only."""

import re

from mpesa.ids import hash_token, new_callback_token, new_id

MANY = 2000


def test_ids_have_at_least_128_random_bits_and_fit_into_an_address():
    ids = [new_id() for _ in range(MANY)]

    assert len(set(ids)) == MANY
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22,}", each) for each in ids)


def test_every_character_of_an_id_varies():
    ids = [new_id() for _ in range(MANY)]

    # The last one carries two bits only: 128 is no multiple of 6.
    seen = [len(set(column)) for column in zip(*ids, strict=True)]
    assert all(count > 60 for count in seen[:-1])


def test_a_callback_token_is_lower_case_hexadecimal():
    tokens = [new_callback_token() for _ in range(MANY)]

    assert len(set(tokens)) == MANY
    assert all(re.fullmatch(r"[0-9a-f]{64}", each) for each in tokens)


def test_a_token_cannot_spell_a_word_that_daraja_refuses():
    refused = ["mpesa", "safaricom", "exe", "exec", "cmd", "sql", "query"]

    assert [word for word in refused if re.fullmatch("[0-9a-f]+", word)] == []


def test_a_hash_finds_its_token_and_does_not_show_it():
    token = new_callback_token()

    assert hash_token(token) == hash_token(token)
    assert hash_token(token) != hash_token(new_callback_token())
    assert token not in hash_token(token)


def test_a_hash_is_sha_256_as_anybody_can_check():
    # FIPS 180-2, appendix B.1.
    assert hash_token("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
