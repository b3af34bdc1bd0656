"""A sealed answer comes back unchanged; garbage, forgeries and accidents give nothing."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.pipeline.cache.envelope import MAX_BYTES, seal, unseal
from tests.pipeline.cache.strategies import answers, texts
from tests.pipeline.samples import answer, key

SIGNING_KEYS = [None, b"k" * 32]


def sealed(one: CachedAnswer, signing_key: bytes | None) -> bytes:
    data = seal(key(), one, signing_key)
    assert data is not None
    return data


@pytest.mark.parametrize("signing_key", SIGNING_KEYS)
@given(one=answers)
def test_a_sealed_answer_comes_back(signing_key: bytes | None, one: CachedAnswer) -> None:
    assert unseal(key(), sealed(one, signing_key), signing_key) == one


@pytest.mark.parametrize("signing_key", SIGNING_KEYS)
@given(data=st.binary(max_size=300) | st.recursive(st.none() | st.booleans() | texts, st.lists).map(json.dumps))
def test_arbitrary_bytes_are_nothing(signing_key: bytes | None, data: bytes | str) -> None:
    assert unseal(key(), data if isinstance(data, bytes) else data.encode(), signing_key) is None


@pytest.mark.parametrize("signing_key", SIGNING_KEYS)
@given(one=answers, source=st.data())
def test_mutated_bytes_are_nothing_or_the_original(
    signing_key: bytes | None, one: CachedAnswer, source: st.DataObject
) -> None:
    data = sealed(one, signing_key)
    start = source.draw(st.integers(0, len(data)))
    end = source.draw(st.integers(start, min(len(data), start + 8)))
    put = source.draw(st.binary(max_size=8) | st.sampled_from([b" ", b"\n", b"0", b"9", b'"', b"}", b"1.0", b"true"]))
    assert unseal(key(), data[:start] + put + data[end:], signing_key) in (None, one)


@pytest.mark.parametrize("signing_key", SIGNING_KEYS)
def test_no_truncation_and_no_flipped_bit_passes(signing_key: bytes | None) -> None:
    data = sealed(answer("a mug"), signing_key)
    for length in range(len(data)):
        assert unseal(key(), data[:length], signing_key) is None
    for index in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[index] ^= 1 << bit
            assert unseal(key(), bytes(flipped), signing_key) in (None, answer("a mug"))


def forged(**changes: Any) -> bytes:
    """Return changed bytes with a correct plain digest, as anyone with write access can compute it.

    `answer` holds the changes of the answer itself.
    """
    altered = answer("a mug").model_dump() | changes.pop("answer", {})
    altered["images"] = [altered["images"][0] | changes.pop("image", {})]
    fields: dict[str, Any] = {"version": 2, "key": key(), "answer": altered} | changes
    text = json.dumps([2, fields["key"], altered], sort_keys=True, separators=(",", ":"))
    return json.dumps({**fields, "digest": hashlib.sha256(text.encode()).hexdigest()}).encode()


def test_without_a_signing_key_the_digest_stops_no_forger_and_with_one_it_does() -> None:
    assert unseal(key(), forged(answer={"text": "a lie"}), None) == answer("a lie")
    assert unseal(key(), forged(answer={"text": "a lie"}), b"k") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"key": key(2)},
        {"version": 1},
        {"version": 3},
        {"version": "2"},
        {"more": 1},
        {"answer": {"text": 7}},
        {"answer": {"text": "a\0b"}},
        {"answer": {"prompt_tokens": "3"}},
        {"answer": {"prompt_tokens": 3.0}},
        {"answer": {"prompt_tokens": True}},
        {"answer": {"prompt_tokens": -1}},
        {"image": {"width": 0}},
        {"image": {"width": 2**63}},
        {"image": {"format": "\x1b[2J"}},
        {"answer": {"confidence": {"kind": "exact", "value": 1.5}}},
        {"answer": {"finish_reason": "deadline"}},
        {"answer": {"cached": True}},
    ],
)
def test_a_correct_digest_over_wrong_fields_is_nothing(changes: dict[str, object]) -> None:
    assert unseal(key(), forged(), None) is not None
    assert unseal(key(), forged(**changes), None) is None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (b'"prompt_tokens":1', b'"prompt_tokens":"1"'),
        (b'"prompt_tokens":1', b'"prompt_tokens":1.0'),
        (b'"prompt_tokens":1', b'"prompt_tokens":true'),
        (b'"version":2', b'"version":2.0'),
    ],
)
@pytest.mark.parametrize("signing_key", SIGNING_KEYS)
def test_what_only_means_the_same_to_a_lenient_reader_is_nothing(
    signing_key: bytes | None, ours: bytes, theirs: bytes
) -> None:
    data = sealed(answer(prompt_tokens=1), signing_key)
    assert ours in data
    assert unseal(key(), data.replace(ours, theirs), signing_key) is None


def test_another_keys_answer_is_nothing() -> None:
    for signing_key in SIGNING_KEYS:
        data = sealed(answer(), signing_key)
        assert unseal(key(2), data, signing_key) is None
        assert unseal(key(2), data.replace(key().encode(), key(2).encode()), signing_key) is None


def test_answers_signed_with_another_key_are_ignored() -> None:
    for ours, theirs in ((b"a", b"b"), (None, b"b"), (b"a", None)):
        assert unseal(key(), sealed(answer(), theirs), ours) is None


def test_large_answers_are_neither_sealed_nor_read() -> None:
    assert seal(key(), answer("x" * MAX_BYTES), None) is None
    padded = sealed(answer(), None) + b" " * MAX_BYTES
    assert unseal(key(), padded, None) is None
    assert unseal(key(), padded[:MAX_BYTES], None) == answer()


@pytest.mark.parametrize("data", [b"[" * 200_000, b'{"a":' * 40_000, b"1" * 200_000, b'"' * 200_000, b"\xff\xfe"])
def test_bombs_are_nothing(data: bytes) -> None:
    assert unseal(key(), data, None) is None
