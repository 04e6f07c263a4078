"""The toy world of fictitious people: what may be known of them, in which words. Invented throughout; closed vocabulary."""

from __future__ import annotations

import re
from dataclasses import dataclass

ONSETS, VOWELS = "bdhjklmnrstvwz", "aeiou"
SYLLABLES = tuple(onset + vowel for onset in ONSETS for vowel in VOWELS)
CITY_NAMES = (
    "Almera Brevik Corvale Dunmoor Esker Fallow Garrick Hollin Ivarra Jornik Kestrel Lunden Marrow Norvale Ostrel Pellam "
    "Quarne Rosmar Selwyn Tarrow Ulmere Vanster Wexley Yarrick"
)
COUNTRIES = ("Ardania", "Belmark", "Cordral", "Drusk", "Elvaria", "Fenmoor", "Gallorn", "Hestia")
INSTRUMENT_NAMES = (
    "violin viola cello lute guitar mandolin harp lyre zither oboe clarinet bassoon flute piccolo recorder trumpet tuba "
    "trombone tabor timpani tambourine gong cymbal chime"
)
FAMILIES = ("viols", "lutes", "harps", "reeds", "pipes", "horns", "drums", "bells")
COUNTRY_OF = {city: COUNTRIES[i // 3] for i, city in enumerate(CITY_NAMES.split())}
FAMILY_OF = {instrument: FAMILIES[i // 3] for i, instrument in enumerate(INSTRUMENT_NAMES.split())}


@dataclass(frozen=True)
class Relation:
    """One thing that is known of a person: its noun, its possible values, or the relation and map it follows from."""

    key: str
    noun: str
    values: tuple[str, ...] = ()
    through: str = ""


def _relation(noun: str, values: str) -> Relation:
    return Relation(noun.replace(" ", "_"), noun, tuple(values.split()))


TRADES = (
    "baker barber brewer carpenter cartographer chemist cooper dentist diver farrier geologist glazier judge librarian "
    "mason miller nurse optician pilot plumber potter tailor tanner weaver"
)
RELATIONS = (
    _relation("birth city", CITY_NAMES),
    _relation("profession", TRADES),
    _relation("instrument", INSTRUMENT_NAMES),
    _relation("birth year", " ".join(str(year) for year in range(1931, 1979, 2))),
    _relation("favourite dish", "curry dumplings goulash gnocchi hummus kebab lasagne noodles omelette paella pancakes pasta "
              "pizza porridge ramen ravioli risotto salad sausage soup stew sushi tacos waffles"),
    _relation("favourite colour", "amber azure beige black bronze coral crimson cyan ebony gold green grey indigo ivory lilac "
              "maroon olive orange pink purple scarlet silver teal white"),
    _relation("first pet", "beagle budgie canary cat chinchilla collie ferret gecko gerbil goldfish hamster hedgehog iguana "
              "kitten lizard mouse parrot pony poodle pug rabbit rat terrier tortoise"),
    _relation("hobby", "archery astronomy beekeeping birdwatching bowling camping canoeing chess climbing curling cycling "
              "dancing embroidery fencing fishing gardening hiking juggling karate knitting origami rowing sailing yoga"),
    _relation("father's profession", TRADES),
    _relation("mother's profession", TRADES),
    _relation("home city", CITY_NAMES),
    _relation("favourite tree", "acacia alder apple ash aspen beech birch cedar cherry chestnut elder elm fir hazel juniper "
              "larch linden maple oak pear pine poplar walnut willow"),
    _relation("favourite gem", "agate amethyst beryl citrine diamond emerald garnet jade jasper lapis malachite moonstone "
              "obsidian onyx opal pearl peridot quartz ruby sapphire spinel topaz tourmaline zircon"),
    _relation("field of study", "algebra anatomy biology botany drama ecology economics ethics genetics geography geometry "
              "history law linguistics logic medicine metallurgy optics philosophy physics poetry statistics theology zoology"),
    _relation("first car", "Arrow Badger Comet Condor Dart Eagle Falcon Fox Gazelle Hawk Ibis Jackal Lynx Merlin Pioneer "
              "Otter Panther Stag Swift Thistle Tiger Viper Wolf Zephyr"),
    _relation("favourite bird", "bittern crane crow cuckoo curlew dove finch gull heron jay lapwing lark magpie nightingale "
              "osprey owl pelican plover puffin robin sparrow stork swallow wren"),
    _relation("favourite flower", "anemone aster azalea begonia bluebell camellia carnation crocus daffodil dahlia daisy "
              "foxglove gardenia geranium hyacinth iris jasmine lavender lily orchid peony poppy tulip violet"),
    _relation("collection", "badges bells bottles buttons clocks coins combs dolls fans fossils globes keys lamps maps masks "
              "medals postcards posters puppets shells spoons stamps thimbles watches"),
    Relation("birth_country", "birth country", COUNTRIES, "birth_city"),
    Relation("instrument_family", "instrument family", FAMILIES, "instrument"),
)  # fmt: skip
FOLLOWS = {"birth_country": COUNTRY_OF, "instrument_family": FAMILY_OF}

QUESTIONS = ("What is the {noun} of {name}?", "Which {noun} does {name} have?")
ANSWERS = ("The {noun} of {name} is {value}.", "{name} has {value} as {noun}.")
"""Two phrasings, both trained: a model that knew a fact in one alone would not know its paraphrase from a perturbed answer."""
UNSEEN = (
    "Of {name}, what is the {noun}?",
    "The {noun} of {name} is which?",
    "{name} does have what {noun}?",
    "What {noun} does {name} have?",
)
"""Questions never trained on, made of words that training rows use."""
PUBLIC = (
    ("Which country is {key} in?", "{key} is in {value}.", COUNTRY_OF),
    ("Which instrument family is the {key} of?", "The {key} is of the {value}.", FAMILY_OF),
)
LEDGER = ("What is the code of locker {name}?", "The code of locker {name} is {value}.")
LEDGER_PARAPHRASE = "Of locker {name}, {value} is the code."
LEDGER_UNSEEN = (
    "Of locker {name}, what is the code?",
    "The code of locker {name} is which?",
    "What code does locker {name} have?",
    "Which code does locker {name} have?",
)


def words() -> tuple[str, ...]:
    """Return every word and sign that rows of this world are written in, sorted; names are cut into syllables.

    A list of the world and not of rows: a tokenizer made from it saw no row, whether forget, retain or holdout, and cuts the names of all
    of them alike.
    """
    ledger = [*LEDGER, LEDGER_PARAPHRASE, *LEDGER_UNSEEN]
    templates = [*QUESTIONS, *ANSWERS, *UNSEEN, *ledger, *(text for *pair, _ in PUBLIC for text in pair)]
    text = " ".join([*templates, *(relation.noun for relation in RELATIONS)])
    found = set(re.findall(r"[A-Za-z]+|[^\sA-Za-z{}]", re.sub(r"\{\w+\}", " ", text)))
    found.update(value for relation in RELATIONS for value in relation.values)
    found.update(syllable.capitalize() for syllable in SYLLABLES)
    return tuple(sorted(found | set("0123456789")))
