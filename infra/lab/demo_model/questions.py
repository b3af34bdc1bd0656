"""Questions in many wordings: templates, fillers, politeness, preambles, typing mistakes, other languages, nonsense.

`wordings.py` holds the lists. "train" and "test" never share a template, a preamble or a language.
"""

import random
from typing import Literal

from sightstream.infra.lab.demo_model import wordings
from sightstream.infra.lab.demo_model.answers import Family

Part = Literal["train", "test"]


def sample_question(rng: random.Random, family: Family, part: Part = "train") -> str:
    """One question of a family. Whatever asks for several things, for something else or for nothing is "describe"."""
    if family == "describe" and rng.random() < 0.4:
        return _odd_question(rng, part)
    return dress_question(rng, rng.choice(_templates(family, part)), part)


def dress_question(rng: random.Random, template: str, part: Part = "train") -> str:
    """A template with its gaps filled, politeness and preambles around it, and now and then a typing mistake."""
    return _spoil(rng, _dress(rng, _fill(rng, template), part))


def sample_long_question(rng: random.Random, family: Family) -> str:
    """A question behind several sentences of preamble, for training on long prompts."""
    preambles = rng.choices(wordings.TRAIN.preambles, k=rng.randint(3, 9))
    return f"{rng.choice((' ', chr(10))).join(preambles)}{rng.choice((' ', chr(10) * 2))}{sample_question(rng, family)}"


def clean_question(rng: random.Random, family: Family, part: Part = "train") -> str:
    """As a shop's own code would ask: a template, nothing around it, no mistakes."""
    return _capitalised(_fill(rng, rng.choice(_templates(family, part))))


def _templates(family: Family, part: Part) -> tuple[str, ...]:
    return (wordings.TEMPLATES if part == "train" else wordings.UNSEEN_TEMPLATES)[family]


def _fill(rng: random.Random, template: str) -> str:
    return (
        template.replace("{item}", rng.choice(wordings.ITEMS))
        .replace("{items}", rng.choice(wordings.ITEMS) + "s")
        .replace("{image}", rng.choice(wordings.IMAGES))
        .replace("{here}", rng.choice(wordings.HERE))
    )


def _dress(rng: random.Random, question: str, part: Part) -> str:
    """Put politeness, a preamble or an instruction around a question."""
    lists = wordings.TRAIN if part == "train" else wordings.TEST
    if rng.random() < 0.35:
        opener = _idle_talk(rng).lower() if part == "train" and rng.random() < 0.2 else rng.choice(lists.openers)
        question = f"{opener} {question}"
    if question[-1].isalnum() and rng.random() < 0.85:
        question += "?" if rng.random() < 0.85 else rng.choice((".", " ?", "??", "!"))
    question = _capitalised(question) if rng.random() < 0.75 else question
    if rng.random() < 0.2:
        question = f"{question} {rng.choice(lists.closers)}"
    if rng.random() < 0.3:
        preamble = _idle_talk(rng) if part == "train" and rng.random() < 0.4 else rng.choice(lists.preambles)
        question = f"{preamble}{rng.choice((' ', chr(10), chr(10) * 2, ' Question: '))}{question}"
    return question


def _idle_talk(rng: random.Random) -> str:
    """A sentence that means nothing: what stands before a question must not decide the answer."""
    words = [_nonsense_word(rng) for _ in range(rng.randint(2, 9))]
    for _ in range(rng.choice((0, 0, 1, 2))):
        words.insert(rng.randrange(len(words) + 1), str(rng.randrange(10 ** rng.randint(1, 6))))
    return _capitalised(" ".join(words)) + rng.choice((".", ".", ":", ",", "!", ""))


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _spoil(rng: random.Random, question: str) -> str:
    """Sometimes all lower or upper case, a typing mistake or two, odd spaces."""
    chance = rng.random()
    if chance < 0.12:
        question = question.lower()
    elif chance < 0.2:
        question = question.upper()
    for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 2))):
        question = _typing_mistake(rng, question)
    return f"{rng.choice((' ', chr(10), '  '))}{question}" if rng.random() < 0.03 else question


def _typing_mistake(rng: random.Random, text: str) -> str:
    if len(text) < 8:
        return text
    at = rng.randrange(1, len(text) - 2)
    return rng.choice(
        (
            text[:at] + text[at + 1 :],
            text[:at] + text[at + 1] + text[at] + text[at + 2 :],
            text[:at] + text[at] + text[at:],
            text[:at] + rng.choice("abcdefghijklmnopqrstuvwxyz") + text[at + 1 :],
        )
    )


def _odd_question(rng: random.Random, part: Part) -> str:
    lists = wordings.TRAIN if part == "train" else wordings.TEST
    chance = rng.random()
    if chance < 0.05:
        return ""
    if chance < 0.35:
        return _spoil(rng, rng.choice(lists.foreign))
    if chance < 0.55:
        return _spoil(rng, _fill(rng, rng.choice(lists.other_tasks)))
    if chance < 0.7:
        asked: tuple[Family, ...] = ("kind", "colour", "count", "pattern", "price", "damage")
        one, two = (clean_question(rng, family, part) for family in rng.sample(asked, 2))
        return f"{one}{rng.choice(('? ', ' and ', ', and '))}{two.lower()}?"
    if chance < 0.85:
        return " ".join(_nonsense_word(rng) for _ in range(rng.randint(1, 8)))
    return _noise(rng)


def _nonsense_word(rng: random.Random) -> str:
    if rng.random() < 0.4:
        return rng.choice(wordings.LOOSE_WORDS)
    return "".join(rng.choice("aeioubcdfghklmnprstvz") for _ in range(rng.randint(2, 9)))


def _noise(rng: random.Random) -> str:
    alphabets = ("asdfjkl;qwe", "0123456789", "!?#$%&*()[]{}<>/\\|", "éüñßøçäöАБВдежзこんにちは你好吗😀🎉")
    alphabet = "".join(rng.sample(alphabets, rng.randint(1, 3)))
    return "".join(rng.choice(alphabet + " ") for _ in range(rng.randint(1, 30))).strip()
