"""Captures a function of fixed shapes as a CUDA graph, so that it is launched in one go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

WARM_UP_RUNS = 2  # libraries choose and load their kernels before a capture, which may not wait for anything


class CudaGraph:
    """Calls `function` on tensors shaped as `example`; once captured, it replays the kernels as a CUDA graph.

    After the capture every call returns the same tensors, overwritten.
    """

    def __init__(self, function: Callable[..., Any], example: tuple[torch.Tensor, ...]) -> None:
        self._function, self._inputs = function, example
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: Any = None

    def capture(self, pool: Any) -> None:
        """Capture on the current stream, which must not be the default one.

        Graphs of one `pool` share memory, so they must not run at the same time.
        """
        for _ in range(WARM_UP_RUNS):
            self._function(*self._inputs)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool, stream=torch.cuda.current_stream()):
            self._result = self._function(*self._inputs)

    def __call__(self, *inputs: torch.Tensor) -> Any:
        if self._graph is None:
            return self._function(*inputs)
        for static, given in zip(self._inputs, inputs, strict=True):
            static.copy_(given, non_blocking=True)
        self._graph.replay()
        return self._result
