"""Checks the Triton operations against those in torch: on a GPU where there is one, else with TRITON_INTERPRET=1.

The interpreter checks every index and mask. Run this file by name on a GPU machine.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from sightstream.pipeline.engine.slots import (
    ops_torch,
    ops_triton,
    prefill_ops_torch,
    prefill_ops_triton,
    vision_attention,
    vision_ops_triton,
)

ROWS, QUERY_HEADS, HEADS, WIDTH = 3, 6, 2, 32


@pytest.fixture(autouse=True)
def device() -> Iterator[None]:
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        torch.manual_seed(5)
        yield


@pytest.fixture(autouse=True)
def splits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter runs the splits one after another, so it gets few, and not a power of two."""
    if not torch.cuda.is_available():
        monkeypatch.setattr(ops_triton, "MAX_SPLITS", 5)


@pytest.fixture
def all_splits(monkeypatch: pytest.MonkeyPatch, splits: None) -> None:
    monkeypatch.setattr(ops_triton, "MAX_SPLITS", 32)


def pools(pages: int, page: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(pages, HEADS, page, WIDTH), torch.randn(pages, HEADS, page, WIDTH)


def tables(pages_a_row: int) -> torch.Tensor:
    return torch.randperm(ROWS * pages_a_row).view(ROWS, pages_a_row).to(torch.int32)


@pytest.mark.parametrize(("page", "lengths"), [(64, (1, 64, 129)), (100, (99, 100, 201)), (70, (70, 140, 210))])
def test_attention_over_pages(page: int, lengths: tuple[int, ...]) -> None:
    keys, values = pools(3 * ROWS, page)
    queries, pages = torch.randn(ROWS, QUERY_HEADS, WIDTH), tables(3)
    args = (queries, keys, values, None, pages, torch.tensor(lengths, dtype=torch.int32))
    torch.testing.assert_close(ops_triton.attend(*args), ops_torch.attend(*args), atol=2e-3, rtol=2e-3)


@pytest.mark.usefixtures("all_splits")
def test_attention_over_scaled_pages() -> None:
    keys, values = (pool.to(torch.float8_e4m3fn) for pool in pools(6, 100))
    scales = (torch.rand(6, HEADS) + 0.5, torch.rand(6, HEADS) + 0.5)
    queries, lengths = torch.randn(ROWS, QUERY_HEADS, WIDTH), torch.tensor([200, 100, 150], dtype=torch.int32)
    args = (queries, keys, values, scales, tables(2), lengths)
    torch.testing.assert_close(ops_triton.attend(*args), ops_torch.attend(*args), atol=1e-2, rtol=1e-2)


def test_attention_equals_one_softmax() -> None:
    keys, values = pools(6, 50)
    queries, pages = torch.randn(ROWS, QUERY_HEADS, WIDTH), tables(2)
    lengths = torch.tensor([77, 100, 3], dtype=torch.int32)
    out = ops_torch.attend(queries, keys, values, None, pages, lengths)
    for row, length in enumerate(lengths.tolist()):
        key, value = (torch.cat([pool[page] for page in pages[row]], dim=1)[:, :length] for pool in (keys, values))
        for head in range(QUERY_HEADS):
            score = queries[row, head] @ key[head // 3].T / WIDTH**0.5
            torch.testing.assert_close(out[row, head], score.softmax(-1) @ value[head // 3])


@pytest.mark.usefixtures("all_splits")
def test_what_lies_beyond_a_rows_tokens_does_not_matter() -> None:
    """Not even if it is no number: pages are used again, and page 0 is anybody's."""
    page, lengths = 64, torch.tensor([1, 70, 129], dtype=torch.int32)
    keys, values = pools(3 * ROWS + 1, page)
    queries, pages = torch.randn(ROWS, QUERY_HEADS, WIDTH), tables(3) + 1
    for row, length in enumerate(lengths.tolist()):
        pages[row, -(-length // page) :] = 0
    args = (queries, keys, values, None, pages, lengths)
    clean = ops_torch.attend(*args)
    for pool in (keys, values):
        pool[0] = torch.nan
        for row, length in enumerate(lengths.tolist()):
            pool[pages[row, (length - 1) // page], :, (length - 1) % page + 1 :] = torch.nan
    torch.testing.assert_close(ops_torch.attend(*args), clean)
    torch.testing.assert_close(ops_triton.attend(*args), clean, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("gate", [None, 0.3])
@pytest.mark.parametrize("changed", [False, True])
def test_norm(gate: float | None, changed: bool) -> None:
    hidden, weight = torch.randn(ROWS, 192), torch.randn(192)
    change = torch.randn(ROWS, 192) if changed else None
    gated = torch.tensor([gate]) if gate and changed else None
    ours, theirs = hidden.clone(), hidden.clone()
    normed = ops_triton.add_norm(ours, change, gated, weight, 1e-5)
    torch.testing.assert_close(normed, ops_torch.add_norm(theirs, change, gated, weight, 1e-5))
    torch.testing.assert_close(ours, theirs)


def test_turning_and_storing() -> None:
    ours, theirs = pools(8, 16), pools(8, 16)
    for mine, other in zip(ours, theirs, strict=True):
        mine.copy_(other)
    qkv = torch.randn(ROWS, (QUERY_HEADS + 2 * HEADS) * WIDTH)
    angle = torch.randn(ROWS, WIDTH // 2).repeat(1, 2)
    pages = torch.tensor([[1, 2], [3, 4], [7, 5]], dtype=torch.int32)
    rest = (pages, torch.tensor([0, 15, 16], dtype=torch.int32))
    queries = ops_triton.rotate_store(qkv, angle.cos(), angle.sin(), *ours, *rest)
    torch.testing.assert_close(queries, ops_torch.rotate_store(qkv, angle.cos(), angle.sin(), *theirs, *rest))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_activation() -> None:
    gate_up = torch.randn(ROWS, 2 * 1500)
    torch.testing.assert_close(ops_triton.silu_product(gate_up), ops_torch.silu_product(gate_up))


@pytest.mark.parametrize("columns", [70, 4096, 9001])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masked_logits(columns: int, dtype: torch.dtype) -> None:
    """Two of three rows; the masks end before the last column or behind it."""
    logits, rows = torch.randn(3, columns).to(dtype), torch.tensor([2, 0])
    masks = torch.randint(-(2**31), 2**31, (2, 281), dtype=torch.int64).to(torch.int32)
    masks[0, 100:] = 0
    expected = logits.clone()
    torch.testing.assert_close(
        ops_triton.mask_logits(logits, rows, masks), ops_torch.mask_logits(expected, rows, masks), atol=1e-3, rtol=1e-3
    )
    assert torch.equal(logits, expected)


TOKENS = 21  # of a prompt: neither the queries nor the keys fill their blocks


def test_prompts_turn_in_place() -> None:
    ours, theirs = pools(8, 16), pools(8, 16)
    for mine, other in zip(ours, theirs, strict=True):
        mine.copy_(other)
    qkv = torch.randn(ROWS, (QUERY_HEADS + 2 * HEADS) * WIDTH)
    angle = torch.randn(ROWS, WIDTH // 2).repeat(1, 2)
    rest = (torch.tensor([[1, 2], [3, 4], [7, 5]]), torch.tensor([0, 15, 16]))
    mine, other = qkv.clone(), qkv.clone()
    prefill_ops_triton.rotate_store_all(mine, angle.cos(), angle.sin(), *ours, *rest)
    prefill_ops_torch.rotate_store_all(other, angle.cos(), angle.sin(), *theirs, *rest)
    for one, two in zip((mine, *ours), (other, *theirs), strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("tokens", [TOKENS, 70])
def test_attention_within_prompts(tokens: int) -> None:
    """Some tokens see nothing but themselves, as padding does, others not all before them, as branches do."""
    qkv = torch.randn(2, tokens, QUERY_HEADS + 2 * HEADS, WIDTH)
    mask = torch.rand(2, tokens, tokens).tril() > 0.5
    mask[1, :, :5] = False
    mask |= torch.eye(tokens, dtype=torch.bool)
    found = prefill_ops_triton.attend_prompts(qkv, HEADS, mask)
    expected = prefill_ops_torch.attend_prompts(qkv, HEADS, mask)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("scaled", [False, True])
def test_attention_of_prompts_over_images(scaled: bool) -> None:
    """Rows with 1 to 3 pages of 70 tokens; what no token sees may be no number."""
    keys, values = (pool / 4 for pool in pools(8, 70))
    queries, pages = torch.randn(2, TOKENS, QUERY_HEADS, WIDTH), torch.tensor([[3, 0, 0], [5, 1, 7]])
    lengths = torch.full((2, TOKENS), 70, dtype=torch.int32)
    lengths[1] = 140
    lengths[1, 2:9], lengths[:, :2] = 210, 1
    scales = None
    if scaled:
        keys, values = keys.to(torch.float8_e4m3fn), values.to(torch.float8_e4m3fn)
        scales = (torch.rand(8, HEADS) + 0.5, torch.rand(8, HEADS) + 0.5)
    else:
        keys[0] = values[0] = torch.nan
    args = (queries, keys, values, scales, pages, lengths)
    bound = 1e-2 if scaled else 2e-3
    found, expected = prefill_ops_triton.attend_images(*args), prefill_ops_torch.attend_images(*args)
    torch.testing.assert_close(found, expected, atol=bound, rtol=bound)


def test_attention_of_prompts_equals_one_softmax() -> None:
    keys, values = pools(6, 50)
    queries, pages = torch.randn(1, 1, QUERY_HEADS, WIDTH), torch.tensor([[4, 2]])
    out = prefill_ops_torch.attend_images(queries, keys, values, None, pages, torch.tensor([[77]]))
    key, value = (torch.cat([pool[4], pool[2]], dim=1)[:, :77] for pool in (keys, values))
    for head in range(QUERY_HEADS):
        score = queries[0, 0, head] @ key[head // 3].T / WIDTH**0.5
        torch.testing.assert_close(out[0, 0, head], score.softmax(-1) @ value[head // 3])


def test_images_are_stored() -> None:
    """The projections of a layer lie among those of others."""
    ours, theirs = pools(6, 50), pools(6, 50)
    for mine, other in zip(ours, theirs, strict=True):
        mine.copy_(other)
    projected = torch.randn(3, 50, 4 * HEADS * WIDTH)[:, :, 2 * HEADS * WIDTH :]
    rest = (torch.randn(WIDTH), 1e-5)
    pages = torch.tensor([4, 1, 3])
    prefill_ops_triton.store_image(projected, *rest, *ours, pages)
    prefill_ops_torch.store_image(projected, *rest, *theirs, pages)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize(("tokens", "padding"), [(150, 28), (70, 7)])
def test_few_masked_queries_of_an_image(tokens: int, padding: int) -> None:
    """Heads of 20 columns, between those of other heads; some splits hold no key that is seen."""
    query, key, value, out = torch.randn(4, 1, tokens, 3, 20).transpose(2, 3)
    queries = torch.randperm(tokens)[:padding].sort().values
    mask = torch.ones(tokens, dtype=torch.bool)
    mask[queries] = mask[:10] = False
    expected = out.clone()
    vision_ops_triton.attend_masked(query, key, value, queries, mask, out)
    vision_attention.attend_masked(query, key, value, queries, mask, expected)
    torch.testing.assert_close(out, expected, atol=2e-3, rtol=2e-3)
