"""Serves the model of a folder with llama.cpp's own server: `serve.py FOLDER`.

It prints its address, and ends with its standard input.
"""

from __future__ import annotations

import sys

import xllamacpp

QUESTIONS_AT_ONCE = 2
CONTEXT_TOKENS = 8192


def main(folder: str) -> None:
    params = xllamacpp.CommonParams()
    params.model.path, params.mmproj.path = f"{folder}/model.gguf", f"{folder}/mmproj.gguf"
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_parallel, params.n_ctx = QUESTIONS_AT_ONCE, CONTEXT_TOKENS
    params.warmup = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)  # noqa: T201
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
