"""Give a trained checkpoint other sizes without training: `python -m sightstream.infra.lab.demo_model.refit OLD NEW`.

bitsandbytes' 4-bit kernels for CPUs want every width to be a multiple of 64. The text MLPs are widened with
neurons whose weights are zero, which changes no answer; to stay within 8,000,000 bytes, rare tokens that occur
in questions only are dropped (the words stay spellable from shorter tokens).
"""

import argparse
import json
from pathlib import Path
from typing import Any

from sightstream.infra.lab.demo_model.architecture import FULL, demo_config
from sightstream.infra.lab.demo_model.export import build_processor, export
from sightstream.infra.lab.demo_model.tokenizer import VOCABULARY

# Words of greetings and instructions and a few signs: no other token is made of them, no answer contains them,
# and what a question asks for does not depend on them.
DISPENSABLE = (
    *(">,", "Ġ<", "##", "..", "??", "ãģ", "UMMARY", "ONCLUSION", "APTION", "REASONING", "ESTION", "ĠQU"),
    *("Pr", "struct", "onest", "ser", "rv", "Ġtime", "Ġpage", "ĠThan", "Ġplease", "Ġif", "Ġshe", "ĠUse"),
    *("Ġsections", "Ġfront", "Ġhelpful", "Ġbrief", "Ġonly", "Ġwarehouse", "Ġneed", "Ġreasoning", "Ġour"),
    *("Ġcatalogue", "Ġstep", "Ġsay", "ĠBe", "Ġshop", "Ġcustomer", "Ġassistant", "ĠAnswer", "Ġthen", "Ġup"),
    *("Ġby", "Ġgoing", "Ġnot", "Ġwant", "Ġask"),
)


def without_tokens(tokenizer: Any, dropped: set[str]) -> tuple[Any, list[int]]:
    """The tokenizer without these tokens, ids closed up; and for every new id the old one."""
    from tokenizers import Tokenizer

    written = json.loads(tokenizer.backend_tokenizer.to_str())
    old_ids = {token: index for token, index in written["model"]["vocab"].items() if token not in dropped}
    kept = sorted(old_ids, key=old_ids.__getitem__)
    written["model"]["vocab"] = {token: index for index, token in enumerate(kept)}
    written["model"]["merges"] = [merge for merge in written["model"]["merges"] if "".join(merge) not in dropped]
    order = [old_ids[token] for token in kept]
    new_ids = {}
    for added in sorted(written["added_tokens"], key=lambda token: token["id"]):
        order.append(added["id"])
        added["id"] = new_ids[added["content"]] = len(order) - 1
    for processor in written["post_processor"]["processors"]:
        for name, special in processor.get("special_tokens", {}).items():
            special["ids"] = [new_ids[name]]
    again = type(tokenizer)(
        tokenizer_object=Tokenizer.from_str(json.dumps(written)),
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token,
        padding_side="left",
        model_max_length=tokenizer.model_max_length,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
    return again, order


def refit(old: Path, new: Path) -> None:
    """Read the checkpoint `old`, write it into `new` in today's sizes."""
    import torch
    import torch.nn.functional as F
    from transformers import AutoTokenizer, MllamaForConditionalGeneration

    tokenizer = AutoTokenizer.from_pretrained(old, local_files_only=True)
    again, order = without_tokens(tokenizer, set(DISPENSABLE))
    if len(order) != VOCABULARY + 1:
        raise ValueError(f"{old} has {len(tokenizer)} tokens; this conversion is for checkpoints that have 897")
    weights = MllamaForConditionalGeneration.from_pretrained(old, dtype=torch.bfloat16).state_dict()
    model = MllamaForConditionalGeneration(demo_config(FULL)).to(torch.bfloat16)
    wider = FULL.text_mlp - weights["model.language_model.layers.0.mlp.gate_proj.weight"].shape[0]
    for name, weight in weights.items():
        if name.endswith(("gate_proj.weight", "up_proj.weight")):
            weights[name] = F.pad(weight, (0, 0, 0, wider))
        elif name.endswith("down_proj.weight"):
            weights[name] = F.pad(weight, (0, wider))
        elif name == "lm_head.weight":
            weights[name] = weight[order[:-1]]
        elif name.endswith("embed_tokens.weight"):
            weights[name] = F.pad(weight[order], (0, 0, 0, 7))  # Mllama keeps 8 rows beyond the vocabulary
    model.load_state_dict(weights)
    export(model, build_processor(again), new)


def main() -> None:
    """Read the options and convert."""
    parser = argparse.ArgumentParser(description="Give a trained checkpoint today's sizes without training.")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args()
    refit(options.old, options.new)


if __name__ == "__main__":
    main()
