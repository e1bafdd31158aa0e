"""Generate distinct English sentences from templates and word lists."""

from __future__ import annotations

import numpy as np

from stillwave.errors import StillwaveError

_LISTS = {
    "who": """
        the baker, my neighbour, an old sailor, the young pilot, our teacher, the quiet girl, a farmer,
        the night nurse, her uncle, the tall boy, a street singer, the judge, his grandmother, the
        chemist, a tired driver, the chess player, our landlord, the violinist, a zoologist, the
        youngest cousin
    """,
    "did": """
        carried, painted, noticed, sold, measured, forgot, polished, photographed, borrowed, weighed,
        described, hid, repaired, unwrapped, chose, dropped, found, questioned, guarded, kept
    """,
    "what": """
        seven wooden boxes, the yellow umbrella, a jar of honey, three broken clocks, the garden gate,
        a bundle of letters, the copper kettle, a pair of boots, the shortest ladder, fresh orange
        juice, a map of the valley, the heavy suitcase, an unusual shell, the church bells, a basket of
        plums, the missing key, five rusty hinges, a jazz record, the winning ticket, some thick blue
        paint
    """,
    "where": """
        behind the station, near the frozen lake, at the edge of town, under the bridge, in the village
        hall, on the second floor, beside the river, outside the bakery, in a crowded market, along the
        shore, by the northern road, inside the greenhouse, at the top of the hill, across the square
    """,
    "when": """
        before sunrise, after the storm, last Thursday, during lunch, at half past nine, every winter,
        in early March, as the music stopped, while it was raining, the day before yesterday, around
        midnight
    """,
    "how": """
        slowly, with great care, in silence, for a joke, without a word, rather badly, as usual
    """,
    "thing": """
        the weather, this recipe, the old theatre, your bicycle, the engine, that piano, the soup, the
        journey, their kitchen, the photograph, my left shoe, the evening train
    """,
    "quality": """
        colder, louder, much shorter, more expensive, a bit smoother, far stranger, less useful,
        brighter, heavier, easier to fix, more beautiful, worse
    """,
    "number": """
        two, six, eleven, fourteen, nineteen, thirty, forty five, sixty, eighty one, ninety
    """,
    "unit": """
        minutes, sheets of paper, euros, miles, cups of flour, chairs, pages, steps, pictures
    """,
}
_WORDS = {name: [" ".join(word.split()) for word in text.split(",")] for name, text in _LISTS.items()}

_TEMPLATES: tuple[str, ...] = (
    "{who} {did} {what} {where}.",
    "{when}, {who} {did} {what}.",
    "{who} {did} {what} {how}, and {who2} {did2} {what2}.",
    "why was {thing} {quality} than {thing2}?",
    "{thing} is {quality} than it was {when}.",
    "we need {number} {unit} {where}.",
    "have you seen {what} {where}?",
    "please leave {what} {where} {when}.",
    "{who} counted {number} {unit} {how}.",
    "nobody knows why {who} {did} {what} {when}.",
    "if {thing} gets {quality}, call {who}.",
    "{number} {unit} and {what}, said {who}.",
)


def make_sentences(count: int, rng: np.random.Generator) -> list[str]:
    """Return `count` different sentences; the same generator state gives the same ones.

    Raises StillwaveError if the grammar has too few.
    """
    seen: dict[str, None] = {}
    for _ in range(40 * count + 100):
        if len(seen) == count:
            return list(seen)
        seen.setdefault(_sentence(rng))
    raise StillwaveError(
        f"the grammar of the demo corpus has fewer than {count} different sentences; use fewer"
    )


def _sentence(rng: np.random.Generator) -> str:
    slots: dict[str, str] = {}
    for name, words in _WORDS.items():
        first, second = rng.choice(len(words), size=2, replace=False)
        slots[name], slots[f"{name}2"] = words[first], words[second]
    text = _TEMPLATES[rng.integers(len(_TEMPLATES))].format(**slots)
    return text[0].upper() + text[1:]
