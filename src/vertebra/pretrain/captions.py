"""Sentences of the corpora: what a clip shows, and what may be asked about a picture.

They speak of what *is seen*, as captions and how-to titles of videos do. No sentence is one of the
table-top's instructions (tested).
"""

CAPTIONS: dict[str, tuple[str, ...]] = {
    "put": (
        "a hand puts the {a} on the {b}",
        "how to put the {a} on the {b}",
        "how to set the {a} down on the {b}",
        "watch them place the {a} on the {b}",
        "somebody sets the {a} down on the {b}",
        "the {a} is put onto the {b}",
        "we move the {a} from the table onto the {b}",
    ),
    "push": (
        "a hand pushes the {a} into the {b}",
        "how to push the {a} into the {b}",
        "how to shove the {a} into the {b}",
        "watch them slide the {a} into the {b}",
        "somebody shoves the {a} into the {b}",
        "the {a} slides into the {b}",
    ),
    "push-line": (
        "a hand pushes the {a} past the {b}",
        "how to push the {a} over the {b}",
        "watch them slide the {a} across the {b}",
        "somebody shoves the {a} past the {b}",
    ),
    "lift": (
        "a hand lifts the {a}",
        "how to pick up the {a}",
        "how to grab the {a} and lift it",
        "watch them raise the {a}",
        "somebody grabs the {a} and lifts it",
        "we lift the {a} from the table",
    ),
    "wave": ("a hand over a table", "nothing is moved", "somebody waves above the things"),
}
SYNONYMS: dict[str, tuple[str, ...]] = {
    "cube": ("box", "block"),
    "ball": ("sphere",),
    "cylinder": ("can",),
    "cross": ("plus",),
    "plate": ("dish",),
    "zone": ("square", "area"),
}
SAID_OTHERWISE = 0.15
"""Share of things that are called by a synonym in questions and answers."""
POINT_AT = (
    "where is the {a}",
    "point at the {a}",
    "find the {a}",
    "show me the {a}",
)
POINT_AT_BOTH = (
    "where are the {a} and the {b}",
    "point at the {a} and at the {b}",
    "find the {a} next to the {b}",
)
IS_THERE = ("is there a {a}", "do you see a {a}")
COUNT = ("how many {a} are there", "count the {a}")
NAME = "name the things from left to right"
WHAT_IS_AT = "what is at {place}"
SIDES = ("left of", "right of", "above", "below")
IS_SIDE = "is the {a} {side} the {b}"
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven")
START, END, YES, NO = "answer", "end", "yes", "no"
