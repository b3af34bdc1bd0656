"""Questions whose answers are JSON to a schema or one of several choices, and the true answers to them.

The prompt is the one that every engine writes: `pipeline.engine.format_prompt.with_format` behind the question.
Where a picture has no true value and the schema offers none for that ("other", "unknown", "none"), the answer is
drawn blindly: such a question teaches the model to be unsure.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sightstream.infra.lab.demo_model import format_wordings
from sightstream.infra.lab.demo_model.answers import FAMILIES, Family, answer_text
from sightstream.infra.lab.demo_model.pictures import COLOURS, DAMAGES, KINDS, NO_PRODUCT, PATTERNS, UNKNOWN, Labels
from sightstream.infra.lab.demo_model.questions import Part, dress_question, sample_question
from sightstream.pipeline.engine.format_prompt import with_format
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchema, JsonSchemaFormat, ResponseFormat

OPENING = "<SUMMARY>"  # the engine writes it where the answer is to reason first

Field = tuple[dict[str, Any], Any]  # a property's schema, and its true value


@dataclass(frozen=True, slots=True)
class FormatQuestion:
    """A question with its format and true answer. `opening` is not the model's own: whoever asks writes it."""

    question: str
    response_format: ResponseFormat
    opening: str
    answer: str

    @property
    def prompt(self) -> str:
        """The text that the model is asked with."""
        return with_format(self.question, self.response_format)


def sample_format_question(rng: random.Random, labels: Labels, part: Part = "train") -> FormatQuestion:
    """Draw a question about a picture: JSON or a choice, a quarter of them with reasoning first."""
    response_format: ResponseFormat
    family: Family = "describe"
    if rng.random() < 0.6:
        question, response_format, answer = sample_json(rng, labels, part)
    else:
        family, question, response_format, answer = sample_choice(rng, labels, part)
    if rng.random() < 0.75:
        return FormatQuestion(question, response_format, "", answer)
    return FormatQuestion(question, response_format, OPENING, reasoned(labels, family, answer))


def reasoned(labels: Labels, family: Family, answer: str) -> str:
    """The rest of a four-section answer behind its opening tag, whose conclusion is `answer`."""
    text = answer_text(labels, family).removeprefix(OPENING)
    return f"{text.partition('<CONCLUSION>')[0]}<CONCLUSION>{answer}</CONCLUSION>"


def sample_json(rng: random.Random, labels: Labels, part: Part) -> tuple[str, JsonSchemaFormat, str]:
    """A question, a schema of one to seven fields in any order, and the true JSON."""
    if rng.random() < 0.15:
        asked = basics_question(rng, labels, part)
        return asked.question, product_basics(), asked.answer
    chosen = rng.sample(list(FIELDS), rng.choice((1, 2, 3, 3, 4, 4, 5, 5, 6, 7)))
    if rng.random() < 0.2:
        chosen = list(BASICS)
    elif rng.random() < 0.2:
        chosen.sort(key=list(FIELDS).index)
    names = [rng.choice(_NAMES[field]) if rng.random() < 0.25 else field for field in chosen]
    made = [FIELDS[field](rng, labels) for field in chosen]
    schema = _object_schema(rng, dict(zip(names, (schema for schema, _ in made), strict=True)))
    value = dict(zip(names, (value for _, value in made), strict=True))
    wanted = JsonSchemaFormat(json_schema=JsonSchema(name="product", schema_=schema))
    return _json_question(rng, part), wanted, compact(value)


def product_basics() -> JsonSchemaFormat:
    """The format of the ready task of this name: every kind, colour and pattern, or "other"."""
    properties: dict[str, Any] = {
        "kind": {"enum": [*KINDS, "other"]},
        "colour": {"enum": [*COLOURS, "other"]},
        "pattern": {"enum": [*PATTERNS, "other"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "has_text": {"type": "boolean"},
    }
    schema = {"type": "object", "required": list(BASICS), "additionalProperties": False, "properties": properties}
    return JsonSchemaFormat(json_schema=JsonSchema(name="product", schema_=schema))


def basics_values(labels: Labels) -> dict[str, Any]:
    """The true values of `product_basics`."""
    kind = labels.kind if labels.kind in KINDS else "other"
    colour, pattern = labels.colour or "other", labels.pattern or "other"
    values = (kind, colour, pattern, labels.count, has_text(labels))
    return dict(zip(BASICS, values, strict=True))


def basics_question(rng: random.Random, labels: Labels, part: Part) -> FormatQuestion:
    """A question for `product_basics` in any wording."""
    return FormatQuestion(_json_question(rng, part), product_basics(), "", compact(basics_values(labels)))


def compact(value: Any) -> str:
    """JSON as constrained answers write it: no spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _object_schema(rng: random.Random, properties: dict[str, dict[str, Any]]) -> dict[str, Any]:
    required = [name for name in properties if rng.random() < 0.8] if rng.random() < 0.15 else list(properties)
    if rng.random() < 0.1:
        named = rng.choice(list(properties))
        properties[named] = {**properties[named], "description": f"the {named.replace('_', ' ')} that you see"}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _json_question(rng: random.Random, part: Part) -> str:
    chance = rng.random()
    if chance < 0.6:
        templates = format_wordings.ATTRIBUTES if part == "train" else format_wordings.UNSEEN_ATTRIBUTES
        return dress_question(rng, rng.choice(templates), part)
    return sample_question(rng, "describe" if chance < 0.8 else rng.choice(FAMILIES), part)


def _named(rng: random.Random, names: Sequence[str], true: str | None, outside: Sequence[str]) -> Field:
    """A field with one of `names`; `outside` are the words for what is none of them, the fittest first."""
    if rng.random() < 0.06:
        return {"type": "string"}, true or outside[0]
    values = choice_of(rng, names, true, outside)
    return {"type": "string", "enum": values[0]} if rng.random() < 0.5 else {"enum": values[0]}, values[1]


def choice_of(
    rng: random.Random, names: Sequence[str], true: str | None, outside: Sequence[str]
) -> tuple[list[str], str]:
    """Values to choose from and the true one: all names or some, with or without a word for anything else."""
    values = list(names)
    if rng.random() < 0.5:
        values = rng.sample(values, rng.randint(2, max(2, len(values) * 2 // 3)))
        if true is not None and true not in values and rng.random() < 0.9:
            values[rng.randrange(len(values))] = true
    if rng.random() < 0.3:
        rng.shuffle(values)
    absent = true is None or true not in values
    if rng.random() < (0.85 if absent else 0.5):
        values.append(rng.choice(outside) if rng.random() < 0.4 else "other")
    if true is not None and true in values:
        return values, true
    if true is None or "other" in values:
        for word in (*outside, "other"):
            if word in values[-1:]:
                return values, word
    if true is not None and "other" not in values:
        values.append(true)
        return values, true
    return values, rng.choice(values)


def _outside(labels: Labels) -> tuple[str, ...]:
    return ("none", "unknown") if labels.kind == NO_PRODUCT else ("unknown", "none")


def _kind(rng: random.Random, labels: Labels) -> Field:
    true = labels.kind if labels.kind not in (NO_PRODUCT, UNKNOWN) else None
    return _named(rng, KINDS, true, _outside(labels))


def _colour(rng: random.Random, labels: Labels) -> Field:
    return _named(rng, list(COLOURS), labels.colour, _outside(labels))


def _pattern(rng: random.Random, labels: Labels) -> Field:
    return _named(rng, PATTERNS, labels.pattern, _outside(labels))


def _count(rng: random.Random, labels: Labels) -> Field:
    if rng.random() < 0.1:
        return {"enum": [0, 1, 2, 3, 4]}, labels.count
    schema = {"type": "integer", "minimum": 0, "maximum": 9} if rng.random() < 0.7 else {"type": "integer"}
    return schema, labels.count


def is_damaged(labels: Labels) -> bool:
    """Whether a product with a scratch, a tear or a stain is shown."""
    return labels.damage not in (None, "none")


def has_text(labels: Labels) -> bool:
    """Whether there is anything to read: a price tag or a SALE badge."""
    return labels.sale or labels.price is not None


def _price(rng: random.Random, labels: Labels) -> Field:
    chance = rng.random()
    if chance < 0.5:
        return {"type": ["string", "null"]}, labels.price
    if chance < 0.7:
        return {"anyOf": [{"type": "string"}, {"type": "null"}]}, labels.price
    number = float(labels.price[1:]) if labels.price else None
    return {"type": ["number", "null"]}, int(number) if number and number == int(number) else number


def _damage(rng: random.Random, labels: Labels) -> Field:
    values = list(DAMAGES)
    if rng.random() < 0.3:
        rng.shuffle(values)
    return {"type": "string", "enum": values}, labels.damage or "none"


FIELDS: dict[str, Callable[[random.Random, Labels], Field]] = {
    "kind": _kind,
    "colour": _colour,
    "pattern": _pattern,
    "count": _count,
    "damaged": lambda rng, labels: ({"type": "boolean"}, is_damaged(labels)),
    "price": _price,
    "has_text": lambda rng, labels: ({"type": "boolean"}, has_text(labels)),
    "damage": _damage,
    "on_sale": lambda rng, labels: ({"type": "boolean"}, labels.sale),
}
BASICS = ("kind", "colour", "pattern", "count", "has_text")

_NAMES: dict[str, tuple[str, ...]] = {
    "kind": ("category", "product", "type"),
    "colour": ("color", "main_colour"),
    "pattern": ("surface", "pattern"),
    "count": ("quantity", "number"),
    "damaged": ("is_damaged", "damaged"),
    "price": ("price_tag", "price"),
    "has_text": ("text_visible", "has_text"),
    "damage": ("defect", "damage"),
    "on_sale": ("sale", "on_sale"),
}

_COUNT_WORDS = ("none", "one", "two", "three", "four")


def sample_choice(rng: random.Random, labels: Labels, part: Part) -> tuple[Family, str, ChoiceFormat, str]:
    """The family of a question, the question, its choices and the true one."""
    chance = rng.random()
    if chance < 0.3:
        return _yes_or_no(rng, labels, part)
    family: Family = rng.choice(("kind", "kind", "colour", "colour", "pattern", "count", "damage"))
    values, true = _choices(rng, labels, family)
    question = sample_question(rng, family, part)
    if rng.random() < 0.12:
        question = sample_question(rng, "describe", part)  # the choices alone say what is asked
    if rng.random() < 0.1:
        values, true = [value.capitalize() for value in values], true.capitalize()
    return family, question, ChoiceFormat(choices=tuple(values)), true


def _choices(rng: random.Random, labels: Labels, family: Family) -> tuple[list[str], str]:
    if family == "kind":
        true = labels.kind if labels.kind not in (NO_PRODUCT, UNKNOWN) else None
        return choice_of(rng, KINDS, true, _outside(labels))
    if family == "colour":
        return choice_of(rng, list(COLOURS), labels.colour, _outside(labels))
    if family == "pattern":
        return choice_of(rng, PATTERNS, labels.pattern, _outside(labels))
    if family == "count":
        words = _COUNT_WORDS if rng.random() < 0.5 else tuple("01234")
        return list(words), words[labels.count]
    values = list(DAMAGES)
    if rng.random() < 0.5:
        rng.shuffle(values)
    return values, labels.damage or "none"


def _yes_or_no(rng: random.Random, labels: Labels, part: Part) -> tuple[Family, str, ChoiceFormat, str]:
    if part == "train" and rng.random() < 0.2:
        question, true = _is_it(rng, labels)
    else:
        asked = format_wordings.YES_OR_NO if part == "train" else format_wordings.UNSEEN_YES_OR_NO
        truth, templates = rng.choice(asked)
        question, true = rng.choice(templates), truth(labels)
    words = ["yes", "no"] if rng.random() < 0.7 else ["Yes", "No"]
    answer = words[0] if true else words[1]
    if rng.random() < 0.2:
        words.reverse()
    return "describe", dress_question(rng, question, part), ChoiceFormat(choices=tuple(words)), answer


def _is_it(rng: random.Random, labels: Labels) -> tuple[str, bool]:
    """Ask after one kind or colour, the true one half of the time."""
    names, true = rng.choice(((KINDS, labels.kind), (tuple(COLOURS), labels.colour)))
    named = true if true in names and rng.random() < 0.5 else rng.choice(names)
    return rng.choice((f"is it {named}", f"is this {named}", f"do you see {named}")), named == true
