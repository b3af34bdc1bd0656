"""The model's own tokenizer: byte-level BPE trained on its questions and answers, Llama 3's special tokens."""

import random
import re
from typing import Any

from sightstream.infra.lab.demo_model.answers import FAMILIES, SECTIONS, answer_text
from sightstream.infra.lab.demo_model.formats import sample_format_question
from sightstream.infra.lab.demo_model.pictures import sample_spec
from sightstream.infra.lab.demo_model.questions import sample_question

BEGIN, HEADER, END_HEADER, END_TURN = "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"
PADDING, IMAGE = "<|finetune_right_pad_id|>", "<|image|>"
SPECIAL = (BEGIN, "<|end_of_text|>", PADDING, HEADER, END_HEADER, "<|eom_id|>", END_TURN, "<|python_tag|>", IMAGE)
# The sections' tags are ordinary tokens here, so that decoding keeps them. Llama's own checkpoints spell them out.
TAGS = tuple(f"<{slash}{name}>" for name in SECTIONS for slash in ("", "/"))

VOCABULARY = 848  # every token but <|image|>, whose id is therefore 848, as Llama's is 128256

# A message is an image and a text in any order, or a string; as in Llama's own template a list's texts are kept
# as they are. The last line opens the assistant's turn.
CHAT_TEMPLATE = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
    "{%- if message['content'] is string %}"
    "{{- message['content'] | trim }}"
    "{%- else %}"
    "{%- for content in message['content'] %}"
    "{%- if content['type'] == 'image' %}{{- '<|image|>' }}"
    "{%- elif content['type'] == 'text' %}{{- content['text'] }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- endif %}"
    "{{- '<|eot_id|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"
    "{%- endif %}"
)


def build_tokenizer(seed: int = 0) -> Any:
    """Train the tokenizer (a few seconds) and return a transformers `PreTrainedTokenizerFast`."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\"(?: \||:|,) \"|\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(TAGS) - len(SPECIAL) + 1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(seed), trainer)
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in TAGS])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    begin = tokenizer.token_to_id(BEGIN)
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{BEGIN} $A", pair=f"{BEGIN} $A {BEGIN} $B", special_tokens=[(BEGIN, begin)]
            ),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END_TURN,
        pad_token=PADDING,
        padding_side="left",
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def _corpus(seed: int) -> list[str]:
    """Answers without their tags, and questions, in the proportion in which the model meets their words."""
    rng = random.Random(seed)
    texts: list[str] = []
    for index in range(12_000):
        family = FAMILIES[index % len(FAMILIES)]
        answer = answer_text(sample_spec(rng, "test").labels, family)
        for tag in TAGS:
            answer = answer.replace(tag, "\n")
        texts += [answer, sample_question(rng, family)]
        texts += _format_texts(rng)
    return texts


def _format_texts(rng: random.Random) -> list[str]:
    """A question with its format, and the answer to it without tags."""
    asked = sample_format_question(rng, sample_spec(rng, "test").labels)
    return [asked.prompt, re.sub("</?[A-Z]+>", "\n", asked.answer)]


def prompt_text(question: str, begins: int = 1) -> str:
    """The text that the chat template gives for a picture and a question."""
    return f"{BEGIN * begins}{HEADER}user{END_HEADER}\n\n{IMAGE}{question}{END_TURN}{HEADER}assistant{END_HEADER}\n\n"
