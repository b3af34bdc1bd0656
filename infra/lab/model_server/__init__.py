"""Puts the remote engine before a model server of somebody else: llama.cpp's, with random weights that are made here.

`python -m sightstream.infra.lab.model_server` asks it in every format and checks what comes back.
"""
