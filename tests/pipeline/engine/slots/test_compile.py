"""The kernels compiled for a Hopper GPU, as their wrappers launch them on the 11B model; no GPU is needed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
import torch
import triton
from triton.backends import nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime import JITFunction

from sightstream.pipeline.engine.slots import ops_triton, prefill_ops_triton, vision_ops_triton
from sightstream.pipeline.engine.slots.block_allocator import PAGE_SIZE

pytestmark = pytest.mark.slow

HOPPER = GPUTarget("cuda", 90, 32)
SHARED_MEMORY = 227 * 1024  # bytes that one program may take there
DUMP = Path(nvidia.__file__).parent / "bin" / "cuobjdump"

QUERY_HEADS, HEADS, WIDTH, TILE_TOKENS, HIDDEN, INNER = 32, 8, 128, 1601, 4096, 14336
VISION_TOKENS, VISION_HEADS, VISION_WIDTH = 4 * 1608, 16, 80
TABLE = 3 + 4 + 64  # numbers a row: see the step table
TYPES = {
    torch.bfloat16: "*bf16",
    torch.float8_e4m3fn: "*fp8e4nv",
    torch.float32: "*fp32",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.uint8: "*u8",
}


class Compiled:
    """Stands for a kernel: a launch compiles it for just these arguments, and looks at what comes out."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self.launches = 0

    def __getitem__(self, _grid: tuple[int, ...]) -> Callable[..., None]:
        return self._launch

    def _launch(self, *args: Any, **named: Any) -> None:
        names = self._kernel.arg_names
        options = {name: named.pop(name) for name in ("num_warps", "num_stages") if name in named}
        given = dict(zip(names, args, strict=False)) | named
        fixed = {p.name for p in self._kernel.params if p.is_constexpr}
        fixed |= {name for name in names if type(given[name]) is int and given[name] == 1}  # as Triton has it
        source = ASTSource(
            fn=self._kernel,
            signature={name: "constexpr" if name in fixed else kind(given[name]) for name in names},
            constexprs={name: given[name] for name in fixed},
            attrs={
                (position,): [["tt.divisibility", 16]]
                for position, name in enumerate(names)
                if name not in fixed and divisible(given[name])
            },
        )
        look_at(triton.compile(source, target=HOPPER, options=options))
        self.launches += 1


def kind(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return TYPES[value.dtype]
    return "i32" if isinstance(value, int) else "fp32"


def divisible(value: Any) -> bool:
    """What Triton takes a number or an address to be; memory is handed out at multiples of more than 16."""
    if isinstance(value, torch.Tensor):
        return bool(value.storage_offset() * value.itemsize % 16 == 0)
    return isinstance(value, int) and value % 16 == 0


def look_at(compiled: Any) -> None:
    """Nothing is spilled, and it can be launched."""
    assert compiled.metadata.shared <= SHARED_MEMORY
    if DUMP.exists():
        with NamedTemporaryFile(suffix=".cubin") as file:
            file.write(compiled.asm["cubin"])
            file.flush()
            used = subprocess.run([DUMP, "-res-usage", file.name], capture_output=True, check=True, text=True).stdout
        assert "STACK:0" in used
        assert "LOCAL:0" in used


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Compiled]:
    monkeypatch.setattr(triton.knobs.cache, "dir", str(tmp_path))
    made: dict[str, Compiled] = {}
    for module in (ops_triton, prefill_ops_triton, vision_ops_triton):
        kernels = {name: Compiled(found) for name, found in vars(module).items() if isinstance(found, JITFunction)}
        kernels.pop("add_block", None)  # a part of others
        for name, kernel in kernels.items():
            monkeypatch.setattr(module, name, kernel)
        made |= kernels
    return made


def empty(*size: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.empty(size, dtype=dtype, device="meta")


def table(rows: int, start: int) -> torch.Tensor:
    """The part of the step table that names pages."""
    return empty(rows, TABLE, dtype=torch.int32)[:, start:]


def numbers(rows: int) -> torch.Tensor:
    return empty(rows, dtype=torch.int32)


@pytest.mark.parametrize("rows", [1, 128])
@pytest.mark.parametrize(
    ("page", "start", "dtype"),
    [
        (PAGE_SIZE, 7, torch.bfloat16),
        (TILE_TOKENS, 3, torch.bfloat16),
        (TILE_TOKENS, 3, torch.float8_e4m3fn),
    ],
)
def test_attention(compiled: dict[str, Compiled], rows: int, page: int, start: int, dtype: torch.dtype) -> None:
    pool, scale = empty(500, HEADS, page, WIDTH, dtype=dtype), empty(500, HEADS, dtype=torch.float32)
    scales = (scale, scale) if dtype == torch.float8_e4m3fn else None
    ops_triton.attend(empty(rows, QUERY_HEADS, WIDTH), pool, pool, scales, table(rows, start), numbers(rows))
    assert compiled["_attend"].launches == 1


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("size", [(128, HIDDEN), (128, QUERY_HEADS, WIDTH)])
def test_norm(compiled: dict[str, Compiled], size: tuple[int, ...], changed: bool, gated: bool) -> None:
    change, gate = empty(*size) if changed else None, empty(1) if changed and gated else None
    ops_triton.add_norm(empty(*size), change, gate, empty(size[-1]), 1e-5)
    assert compiled["_add_norm"].launches == 1


@pytest.mark.parametrize("rows", [1, 128])
def test_turning_and_storing(compiled: dict[str, Compiled], rows: int) -> None:
    qkv, angle = empty(rows, (QUERY_HEADS + 2 * HEADS) * WIDTH), empty(rows, WIDTH)
    pool = empty(500, HEADS, PAGE_SIZE, WIDTH)
    ops_triton.rotate_store(qkv, angle, angle, pool, pool, table(rows, 7), numbers(rows))
    assert compiled["_rotate_store"].launches == 1


def test_activation(compiled: dict[str, Compiled]) -> None:
    ops_triton.silu_product(empty(128, 2 * INNER))
    assert compiled["_silu_product"].launches == 1


@pytest.mark.parametrize("tokens", [64, 512])
def test_prompts(compiled: dict[str, Compiled], tokens: int) -> None:
    qkv, angle = empty(4 * tokens, (QUERY_HEADS + 2 * HEADS) * WIDTH), empty(4 * tokens, WIDTH)
    pool, pages = empty(500, HEADS, PAGE_SIZE, WIDTH), empty(4 * tokens, -(-tokens // PAGE_SIZE), dtype=torch.int64)
    prefill_ops_triton.rotate_store_all(qkv, angle, angle, pool, pool, pages, empty(4 * tokens, dtype=torch.int64))
    mask = empty(4, tokens, tokens, dtype=torch.bool)
    prefill_ops_triton.attend_prompts(qkv.view(4, tokens, -1, WIDTH), HEADS, mask)
    assert [compiled[name].launches for name in ("_rotate_store", "_attend_prompts")] == [1, 1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn])
def test_prompts_over_images(compiled: dict[str, Compiled], dtype: torch.dtype) -> None:
    pool, scale = empty(500, HEADS, TILE_TOKENS, WIDTH, dtype=dtype), empty(500, HEADS, dtype=torch.float32)
    scales = (scale, scale) if dtype == torch.float8_e4m3fn else None
    pages = empty(4, 200, dtype=torch.int64)[:, 4:8]
    queries, lengths = empty(4, 64, QUERY_HEADS, WIDTH), empty(4, 64, dtype=torch.int32)
    prefill_ops_triton.attend_images(queries, pool, pool, scales, pages, lengths)
    assert compiled["_attend_images"].launches == 1


def test_storing_an_image(compiled: dict[str, Compiled]) -> None:
    pool, projected = empty(500, HEADS, TILE_TOKENS, WIDTH), empty(4, TILE_TOKENS, 8 * HEADS * WIDTH)
    mine = projected[:, :, 2 * HEADS * WIDTH : 4 * HEADS * WIDTH]
    prefill_ops_triton.store_image(mine, empty(WIDTH), 1e-5, pool, pool, empty(4, dtype=torch.int64))
    assert compiled["_store_image"].launches == 1


@pytest.mark.parametrize("padding", [7, 28])
def test_few_masked_queries_of_an_image(compiled: dict[str, Compiled], padding: int) -> None:
    query, key, value, out = (empty(1, VISION_TOKENS, VISION_HEADS, VISION_WIDTH).transpose(1, 2) for _ in range(4))
    mask, queries = empty(VISION_TOKENS, dtype=torch.bool), empty(padding, dtype=torch.int64)
    vision_ops_triton.attend_masked(query, key, value, queries, mask, out)
    assert [compiled[name].launches for name in ("_attend_masked", "_combine_splits")] == [1, 1]
