"""What the model says: labels to text for training, text back to labels for grading.

Every answer has four sections. The caption and the reasoning name everything there is to see; the conclusion
answers the question that was asked.
"""

import itertools
import re
from collections.abc import Callable
from typing import Literal

from sightstream.infra.lab.demo_model.pictures import COLOURS, KINDS, NO_PRODUCT, PATTERNS, UNKNOWN, Labels

Family = Literal["describe", "kind", "colour", "count", "pattern", "price", "damage"]
FAMILIES: tuple[Family, ...] = ("describe", "kind", "colour", "count", "pattern", "price", "damage")

SECTIONS = ("SUMMARY", "CAPTION", "REASONING", "CONCLUSION")
SEPARATOR = ""  # between them; LLaVA-CoT writes a blank line

_PLURALS = {"trousers": "pairs of trousers", "dress": "dresses"}
_SINGULARS = {"trousers": "pair of trousers"}
_NUMBERS = ("no", "one", "two", "three", "four")
_DAMAGED = {"scratch": "scratched", "tear": "torn", "stain": "stained"}

_SUMMARIES: dict[Family, str] = {
    "describe": "I will describe the product in the picture.",
    "kind": "I will name the product in the picture.",
    "colour": "I will name the colour of the product.",
    "count": "I will count the items in the picture.",
    "pattern": "I will check the product for a pattern.",
    "price": "I will read the price tag.",
    "damage": "I will check the product for damage.",
}


def answer_text(labels: Labels, family: Family) -> str:
    """The whole answer, with its four tagged sections, to a question of one family."""
    texts = (_SUMMARIES[family], _caption(labels), _reasoning(labels), _CONCLUSIONS[family](labels))
    return SEPARATOR.join(f"<{name}>{text}</{name}>" for name, text in zip(SECTIONS, texts, strict=True))


def _a(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _kind_words(labels: Labels) -> str:
    if labels.count == 1:
        return _SINGULARS.get(labels.kind, labels.kind)
    return _PLURALS.get(labels.kind, labels.kind + "s")


def _items(labels: Labels) -> str:
    return f"{_NUMBERS[labels.count]} {labels.colour} {labels.pattern} {_kind_words(labels)}"


def _caption(labels: Labels) -> str:
    if labels.kind == NO_PRODUCT:
        seen = "A scene with no product"
    elif labels.kind == UNKNOWN:
        seen = "A picture of something unknown"
    else:
        seen = _items(labels).capitalize()
    extras = [words for words, there in (("a price tag", labels.price), ("a SALE badge", labels.sale)) if there]
    return f"{seen} with {' and '.join(extras)}." if extras else f"{seen}."


def _reasoning(labels: Labels) -> str:
    tag = f"The tag reads {labels.price}." if labels.price else "I see no tag."
    if labels.kind == NO_PRODUCT:
        return f"There is nothing for sale here. {tag}"
    if labels.kind == UNKNOWN:
        return f"It is like no product that I know. {tag}"
    looks = f"The shape is {_a(_SINGULARS.get(labels.kind, labels.kind))}, the colour is {labels.colour}"
    damage = "I see no damage." if labels.damage == "none" else f"I see {_a(labels.damage or '')}."
    return f"{looks} and the surface is {labels.pattern}. I count {labels.count}. {tag} {damage}"


def _or_nothing_known(conclude: Callable[[Labels], str]) -> Callable[[Labels], str]:
    def conclusion(labels: Labels) -> str:
        if labels.kind == NO_PRODUCT:
            return "There is no product in the picture."
        if labels.kind == UNKNOWN:
            return "The product is unknown to me."
        return conclude(labels)

    return conclusion


def _describe(labels: Labels) -> str:
    words = _items(labels).capitalize()
    words += f", {_DAMAGED[labels.damage]}" if labels.damage in _DAMAGED else ""
    words += ", on sale" if labels.sale else ""
    return words + (f", for {labels.price}." if labels.price else ".")


def _kind(labels: Labels) -> str:
    return f"It is {_a(_kind_words(labels))}." if labels.count == 1 else f"They are {_kind_words(labels)}."


def _count(labels: Labels) -> str:
    verb = "is" if labels.count == 1 else "are"
    return f"There {verb} {_NUMBERS[labels.count]} {_kind_words(labels)}."


def _pattern(labels: Labels) -> str:
    return "It is plain, without a pattern." if labels.pattern == "plain" else f"It has a {labels.pattern} pattern."


def _price(labels: Labels) -> str:
    return f"The price is {labels.price}." if labels.price else "There is no price tag."


def _damage(labels: Labels) -> str:
    return "There is no damage." if labels.damage == "none" else f"There is {_a(labels.damage or '')}."


_CONCLUSIONS: dict[Family, Callable[[Labels], str]] = {
    "describe": _or_nothing_known(_describe),
    "kind": _or_nothing_known(_kind),
    "colour": _or_nothing_known(lambda labels: f"The colour is {labels.colour}."),
    "count": _or_nothing_known(_count),
    "pattern": _or_nothing_known(_pattern),
    "price": _price,  # a tag can be read whatever hangs on it
    "damage": _or_nothing_known(_damage),
}


CONFLICT = "conflict"  # two sections contradict each other

_KIND_FORMS = {form: kind for kind in KINDS for form in (kind, kind + "s", _PLURALS.get(kind, kind).split()[-1])}
_PRICE = re.compile(r"\$\d+(?:\.\d\d)?")
_SECTION = re.compile(r"<(SUMMARY|CAPTION|REASONING|CONCLUSION)>(.*?)</\1>", re.DOTALL)


def split_sections(text: str) -> dict[str, str]:
    """The sections of a generated answer by lower-case name; those that are missing or unclosed are left out."""
    return {name.lower(): words.strip() for name, words in _SECTION.findall(text)}


def labels_from_answer(
    summary: str, caption: str, reasoning: str, conclusion: str
) -> dict[str, str | int | bool | None]:
    """What an answer claims about its picture, in the terms of `Labels`.

    Keys: kind ("none", "unknown" or one of KINDS), colour, pattern, count, price ("$24.99" or None), damage
    ("none", "scratch", "tear" or "stain"), sale. Where the sections contradict each other the value is
    "conflict" (never equal to a true label); what no section mentions is None (count: 0, damage: "none").
    For "none" and "unknown" colour, pattern and damage are None and count is 0. `summary` speaks of the question
    and is not read.
    """
    del summary
    parts = [caption, reasoning, conclusion]
    words = [re.findall(r"[a-z]+|\d+", part.lower()) for part in (_PRICE.sub(" ", part) for part in parts)]
    every = [word for section in words for word in section]
    price = _agreed(_PRICE.findall(" ".join(parts)))
    if price is not None and "There is no price tag" in conclusion:
        price = CONFLICT
    sale = "sale" in words[0]
    kind = _agreed([_KIND_FORMS[word] for word in every if word in _KIND_FORMS])
    nothing = _agreed(
        [NO_PRODUCT for part in parts if "no product" in part and "that I know" not in part]
        + [UNKNOWN for part in parts if "unknown" in part]
    )
    if nothing is not None and kind is None:
        return {
            "kind": nothing,
            "colour": None,
            "pattern": None,
            "count": 0,
            "price": price,
            "damage": None,
            "sale": sale,
        }
    return {
        "kind": CONFLICT if nothing is not None else kind,
        "colour": _agreed([word for word in every if word in COLOURS]),
        "pattern": _agreed([word for word in every if word in PATTERNS]),
        "count": _count_claimed(words),
        "price": price,
        "damage": _damage_claimed(every, conclusion),
        "sale": sale,
    }


def _agreed(claims: list[str]) -> str | None:
    """The one thing that is claimed; None if nothing is, "conflict" if two things are."""
    distinct = set(claims)
    if not distinct:
        return None
    return distinct.pop() if len(distinct) == 1 else CONFLICT


def _count_claimed(words: list[list[str]]) -> int | str:
    caption, reasoning, conclusion = words
    numbers = {word: str(value) for value, word in enumerate(_NUMBERS) if value}
    claims = [numbers[word] for word in caption[:1] + conclusion[:3] if word in numbers]
    claims += [word for before, word in itertools.pairwise(reasoning) if before == "count"]
    count = _agreed(claims)
    if count is None:
        return 0
    return int(count) if count.isdigit() else CONFLICT


def _damage_claimed(words: list[str], conclusion: str) -> str:
    named = {form: damage for damage, past in _DAMAGED.items() for form in (damage, past)}
    claimed = _agreed([named[word] for word in words if word in named])
    if claimed is not None and "no damage" in conclusion:
        return CONFLICT
    return claimed or "none"
