"""Words that the generated documents are made of: entities, fields, invented words.

Invariant: the three entity sets are disjoint. TRAIN may occur anywhere; UNSEEN occurs in the
pretraining of the embedded base but in no Blop document; INVENTED_HELD occurs nowhere but in the
held-out prompts, and `invented()` never returns one of its words.
"""

from random import Random

TRAIN: tuple[str, ...] = tuple(
    """
    user product book movie song photo recipe course task event message article customer order
    ticket team player city country flight car house pet animal plant tool game lesson student
    employee project note contact review artist podcast episode category tag document report folder
    package shipment store restaurant menu dish driver route station sensor device server job
    company partner member group meeting goal habit workout exercise doctor patient clinic medicine
    loan account payment subscription plan feature release issue branch commit survey question
    answer vote poll badge reward quest weapon spell monster star mission painting sculpture concert
    festival session sponsor author editor chapter essay poem story letter stamp postcard coin bank
    budget expense salary tax receipt cart basket bundle offer discount brand supplier warehouse
    shelf machine engine wheel bike train bus boat ship harbour airport journey trip map guide
    camera lens lamp chair desk sofa kitchen garden tree flower fruit vegetable bread cheese coffee
    drink meal snack cake farm horse bird fish forest river lake mountain island beach village
    street bridge tower castle school pupil teacher exam grade diploma skill badge channel video
    stream comment post topic forum thread friend follower profile alarm calendar contract invoice
    """.split()
)
UNSEEN: tuple[str, ...] = tuple(
    """
    dog hotel planet coupon playlist rocket museum ingredient reminder speaker vehicle nurse album
    lawyer printer library ocean valley pilot charger backup donation keyboard magazine
    witness tournament balloon cabin sandwich
    """.split()
)
INVENTED_HELD: tuple[str, ...] = tuple(
    """
    zorple brimwick fendalo quarnit tuvexo glimbor pradune skelvor mizzolt wuntrap dravnik
    olvester hapquin yerbolt cluzzen
    """.split()
)
FIELDS: tuple[str, ...] = tuple(
    """
    name title price email status date description rating color size count phone address age score
    owner role weight height stock genre duration language level summary label version location
    priority deadline username total quantity model speed distance temperature subject width amount
    currency department gender birthday website code number type style origin material capacity
    length time year month start end text caption slogan nickname reference format source target
    balance rank points area volume depth power region postcode host series edition
    """.split()
)
FLAGS: tuple[str, ...] = tuple(
    """
    active done visible published available featured urgent hidden open paid public verified
    archived enabled selected favourite expired pinned ready broken empty
    """.split()
)
ENTITIES: tuple[str, ...] = TRAIN + UNSEEN

_IRREGULAR = {"shelf": "shelves", "fish": "fishes", "hero": "heroes"}
_ONSETS = (
    "b c d f g h j k l m n p r s t v w z bl br ch cl cr dr fl fr gl gr pl pr sc sh sk sl sm sn "
    "sp st str sw th tr tw qu"
).split()
_VOWELS = "a e i o u a e i o u ai ea ee ie oo ou io y".split()
_CODAS = [*[""] * 10, *"n r l s t k m p x d g nd rt sk st ck ng ll ss nt mb".split()]


def plural(word: str) -> str:
    """The plural of an English (or invented) noun."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith(("s", "x", "z", "sh", "ch")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def with_article(word: str) -> str:
    """The word after "a" or "an"."""
    return f"{'an' if word[0] in 'aeio' else 'a'} {word}"


def cap(word: str) -> str:
    """The word with its first letter in upper case; the rest is kept."""
    return word[:1].upper() + word[1:]


def join_words(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(words) == 1:
        return words[0]
    return ", ".join(words[:-1]) + " and " + words[-1]


def invented(rng: Random) -> str:
    """A word that no dictionary has, of four letters or more."""
    while True:
        parts = (
            rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)
            for _ in range(rng.choice((1, 2, 2, 2, 3)))
        )
        word = "".join(parts)
        if rng.random() < 0.15:
            word = rng.choice("aeiou") + word
        if len(word) < 4:
            word += rng.choice(("lo", "ra", "mi", "ta"))
        if word not in _RESERVED and "blop" not in word:
            return word


_RESERVED = frozenset(INVENTED_HELD) | frozenset(ENTITIES) | frozenset(FIELDS)
