"""The lists behind `formats.py`: questions whose answers are yes or no, and questions that ask for attributes.

As in `wordings.py` the lists named UNSEEN are for tests only.
"""

from collections.abc import Callable

from sightstream.infra.lab.demo_model.pictures import Labels

Truth = Callable[[Labels], bool]


def _is_damaged(labels: Labels) -> bool:
    return labels.damage not in (None, "none")


# What is asked, and what "yes" means.
YES_OR_NO: tuple[tuple[Truth, tuple[str, ...]], ...] = (
    (
        _is_damaged,
        (
            "is it damaged",
            "is the {item} damaged",
            "is this {item} damaged",
            "is there any damage{here}",
            "is there damage to the {item}",
            "does it have any damage",
            "does the {item} show damage",
            "do you see any damage{here}",
            "are there any defects",
            "is anything wrong with the {item}",
            "any damage",
            "has the {item} been damaged",
        ),
    ),
    (
        lambda labels: not _is_damaged(labels),
        ("is the {item} intact", "is the {item} in good condition", "is it undamaged", "is the {item} without damage"),
    ),
    (lambda labels: labels.damage == "scratch", ("is it scratched", "do you see a scratch", "is the {item} scratched")),
    (lambda labels: labels.damage == "tear", ("is it torn", "is the {item} torn", "is there a tear in it")),
    (lambda labels: labels.damage == "stain", ("is it stained", "is there a stain", "does the {item} have a stain")),
    (
        lambda labels: labels.pattern not in (None, "plain"),
        ("is it patterned", "does it have a pattern", "is there a pattern on the {item}", "can you see a pattern"),
    ),
    (lambda labels: labels.pattern == "plain", ("is it plain", "is the {item} plain")),
    (lambda labels: labels.pattern == "striped", ("is it striped", "does it have stripes", "is the {item} striped")),
    (lambda labels: labels.pattern == "dotted", ("is it dotted", "are there dots on it", "does the {item} have dots")),
    (lambda labels: labels.pattern == "checked", ("is it checked", "is the {item} checked")),
    (lambda labels: labels.count > 1, ("is there more than one", "are there several {items}")),
    (
        lambda labels: labels.price is not None,
        ("is there a price tag", "does it have a price tag", "is there a price{here}", "can you see a price tag"),
    ),
    (
        lambda labels: labels.sale,
        ("is it on sale", "is there a SALE badge", "is the {item} on sale", "does it say SALE"),
    ),
    (
        lambda labels: labels.sale or labels.price is not None,
        (
            "is there any text{here}",
            "does the {image} contain text",
            "is any text visible",
            "can you read anything{here}",
        ),
    ),
)

UNSEEN_YES_OR_NO: tuple[tuple[Truth, tuple[str, ...]], ...] = (
    (_is_damaged, ("can you see any damage on the {item}", "was the {item} damaged")),
    (lambda labels: labels.price is not None, ("do you see a price tag{here}",)),
    (lambda labels: labels.pattern == "dotted", ("does this {item} have dots",)),
)

ATTRIBUTES = (
    "describe the {item}: its kind, colour and pattern, how many items there are, and whether text is visible",
    "describe the {item}: kind, colour, pattern, number of items",
    "list the attributes of this {item}",
    "what are the attributes of the {item}",
    "extract the attributes",
    "extract the product data from the {image}",
    "give the attributes of the {item}{here}",
    "fill in the attributes of this {item}",
    "fill in the product data",
    "describe the {item} as data",
    "catalogue this {item}",
    "return the attributes as JSON",
    "tell me the attributes of the main {item}",
    "what is shown{here}",
    "what {item} is this, and what does it look like",
    "which {item} is shown, in which colour and how many",
    "classify the {item}",
    "look at the {image} and fill in the form",
    "name the kind, the colour, the pattern and the number of {items}",
    "what kind of {item} is it, and what colour and pattern does it have",
    "record what you see in the {image}",
    "give me the facts about this {item}",
    "product data",
    "attributes",
    "data please",
)

UNSEEN_ATTRIBUTES = (
    "which attributes does this {item} have",
    "write down the basic facts about the {item}",
    "read the attributes off the {image}",
    "what would the catalogue say about this {item}",
)
