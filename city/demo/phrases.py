"""What the residents and crews of Larkhaven write, by kind of problem and language.

All of it is said of the kind it stands under: a test holds words, picture and kind of each case together.
"""

from typing import Final

# service → language → words; many people write nothing at all.
WORDS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "light-out": {
        "en": (
            "Dark since Sunday. I walk my daughter home here.",
            "The one outside our door is out again.",
            "The whole corner is dark after six.",
            "Out for two nights now.",
        ),
        "es": (
            "Está apagado desde el domingo.",
            "La esquina queda muy oscura de noche.",
            "No alumbra desde hace dos noches.",
        ),
    },
    "light-flickering": {
        "en": ("Goes on and off all night, right into the bedroom.", "Flickers when it rains."),
        "es": ("Se prende y se apaga toda la noche.", "Parpadea cuando llueve."),
    },
    "light-all-day": {
        "en": ("On at noon. That is our money burning.", "Never goes off."),
        "es": ("Está encendido a mediodía.",),
    },
    "pole-damaged": {
        "en": ("A truck backed into it. It leans toward the road.", "The little door at the foot is open."),
        "es": ("Un camión lo golpeó y quedó inclinado.",),
    },
    "wire-down": {
        "en": ("A wire hangs over the sidewalk. I called 911 first.",),
        "es": ("Hay un cable colgando sobre la acera. Ya llamé al 911.",),
    },
    "limb-down": {
        "en": (
            "Big limb across the sidewalk, strollers go into the road.",
            "Came down in the storm last night.",
            "It is caught in the fence.",
        ),
        "es": ("Una rama grande tapa la acera.", "Se cayó anoche con la tormenta."),
    },
    "tree-leaning": {
        "en": ("It leans more every week.", "The roots are lifting on one side."),
        "es": ("Cada semana se inclina más.",),
    },
    "roots-sidewalk": {
        "en": ("My mother tripped here.", "Slab sticks up about two inches."),
        "es": ("Mi mamá se tropezó aquí.",),
    },
    "stump": {
        "en": ("The tree went in spring, the stump is still here.",),
        "es": ("Cortaron el árbol y dejaron el tocón.",),
    },
    "tree-on-wire": {
        "en": ("A branch rests on the wire to number nine.",),
        "es": ("Una rama está apoyada en el cable.",),
    },
    "basket-full": {
        "en": (
            "Overflowing since the game on Saturday.",
            "Cups all over the bus stop.",
            "Gulls are at it every morning.",
        ),
        "es": ("Está lleno desde el sábado.", "Hay vasos por toda la parada."),
    },
    "bulky-item": {
        "en": (
            "A couch, soaked by now.",
            "An old couch, nobody wants it.",
            "Two mattresses by the wall.",
            "Old fridge, door still on.",
        ),
        "es": ("Un sofá mojado en la acera.", "Dos colchones junto a la pared."),
    },
    "missed-collection": {
        "en": ("Ours is the only side not picked up.", "Recycling is still out."),
        "es": ("No pasaron por este lado.",),
    },
    "dumping": {
        "en": (
            "Someone dumped a couch here at night.",
            "That couch is nobody's from this street.",
            "Paint cans and tiles behind the wall.",
            "Someone leaves bags here at night.",
        ),
        "es": ("Alguien tiró un sofá aquí de noche.", "Dejan bolsas aquí de noche."),
    },
    "basket-damaged": {
        "en": ("The door is off and it rolls around.",),
        "es": ("Se le cayó la puerta.",),
    },
    "pothole": {
        "en": ("Deep enough to lose a wheel.", "Right in the bike lane."),
        "es": ("Muy hondo, justo en el carril de bicis.",),
    },
    "sidewalk-broken": {
        "en": ("Wheelchairs can't get by.",),
        "es": ("No se puede pasar con silla de ruedas.",),
    },
    "sign-damaged": {
        "en": ("The stop sign faces the wrong way.",),
        "es": ("La señal de alto está girada.",),
    },
    "graffiti": {
        "en": ("On the wall by the steps.",),
        "es": ("En la pared, junto a las escaleras.",),
    },
    "home-nuisance": {
        "en": ("Machines run there until two in the morning.",),
        "es": ("Hay máquinas encendidas hasta las dos de la noche.",),
    },
    "something-else": {
        "en": ("The drinking fountain won't turn off.",),
        "es": ("La fuente de agua no se cierra.",),
    },
}

# What the picture of its kind does not show: whoever says this sends no picture.
NOT_SHOWN: Final = frozenset(
    {
        "The little door at the foot is open.", "It is caught in the fence.", "Cups all over the bus stop.",
        "Hay vasos por toda la parada.", "Two mattresses by the wall.", "Old fridge, door still on.",
        "Dos colchones junto a la pared.", "Paint cans and tiles behind the wall.",
        "Someone leaves bags here at night.", "Dejan bolsas aquí de noche.",
    }
)  # fmt: skip

# By kind of problem: what the crew did.
FIXED: Final[dict[str, tuple[str, ...]]] = {
    "light-out": ("New lamp put in. It is on again.", "New fuse. It is on again."),
    "light-flickering": ("Changed the driver. It burns steadily.", "Loose contact. Tightened and tested."),
    "light-all-day": ("Changed the sensor. It goes off by day.",),
    "pole-damaged": ("Set the pole straight and tested it.", "New pole put up."),
    "wire-down": ("Power was off. Wire put back up and tested.",),
    "limb-down": ("Cut up and taken away.",),
    "tree-leaning": ("Trimmed the crown and braced it.",),
    "roots-sidewalk": ("Cut the roots and laid the slab level.",),
    "stump": ("Ground it out and filled the hole.",),
    "tree-on-wire": ("Power was off. Cut the branch back from the wire.",),
    "basket-full": ("Emptied it and swept around it.",),
    "bulky-item": ("Picked up.",),
    "missed-collection": ("Came back and picked it up.",),
    "dumping": ("Cleared and washed down.",),
    "basket-damaged": ("Put a new can in its place.",),
    "pothole": ("Filled and rolled.",),
    "sidewalk-broken": ("Laid new slabs.",),
    "sign-damaged": ("Straightened and bolted down.",),
    "graffiti": ("Painted over.",),
    "home-nuisance": ("Spoke with the owner.",),
    "something-else": ("Done. Thanks for telling us.",),
}

# Outcome → kind of problem → why nothing was repaired. A kind that is not named never ends so.
ELSE: Final[dict[str, dict[str, str]]] = {
    "not found": {
        **dict.fromkeys(
            ("light-out", "light-flickering", "light-all-day"),
            "We checked after dark and by day, and it worked.",
        ),
        **dict.fromkeys(
            ("pole-damaged", "wire-down", "limb-down", "tree-leaning", "roots-sidewalk", "stump",
             "bulky-item", "tree-on-wire", "dumping", "graffiti", "pothole", "sidewalk-broken",
             "sign-damaged", "something-else"),
            "We checked the whole block and didn't find it.",
        ),
        "basket-full": "It was empty when we came.",
        "basket-damaged": "The door and the lock worked when we came.",
        "missed-collection": "Everything had been picked up when we came.",
        "home-nuisance": "We came twice, and everything was quiet.",
    },
    "not ours": {
        **dict.fromkeys(
            ("light-out", "light-flickering", "wire-down"),
            "The power company's cable is at fault. We've let them know.",
        ),
        **dict.fromkeys(
            ("pothole", "sidewalk-broken", "sign-damaged"),
            "The county maintains this street. We've let them know.",
        ),
    },
    "no action": {
        "tree-leaning": "We checked the tree. It is healthy and stands firmly.",
        **dict.fromkeys(
            ("pothole", "sidewalk-broken"), "We measured it. It is too small for a repair under the rules."
        ),
        "home-nuisance": "This is between neighbors, where the city can't act.",
    },
}  # fmt: skip

# By department and language: what somebody says whose problem came back.
NOT_FIXED: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "lights": {
        "en": ("It was fine for one night. Please look again.",),
        "es": ("Funcionó una sola noche. Vuelvan, por favor.",),
    },
    "trees": {"en": ("They only took half of it.",), "es": ("Solo se llevaron la mitad.",)},
    "clean": {"en": ("Half of it is still here.",), "es": ("La mitad sigue aquí.",)},
    "streets": {"en": ("It came loose after the first rain.",), "es": ("Se soltó con la primera lluvia.",)},
    "homes": {"en": ("It began again the next night.",), "es": ("Empezó otra vez la noche siguiente.",)},
}

# What somebody says when it comes back for the second time, and for the third.
NOT_FIXED_AGAIN: Final[dict[str, tuple[str, str]]] = {
    "en": ("It is the same again.", "This is the third time. Please find out why it keeps coming back."),
    "es": ("Está igual otra vez.", "Ya es la tercera vez. Averigüen por qué vuelve a pasar, por favor."),
}

# By department: what was done where danger is over and the work is not.
MADE_SAFE: Final[dict[str, str]] = {
    "lights": "Taped off. Comes back with the bucket truck.",
    "trees": "Taped off. Comes back with the chipper.",
    "clean": "Taped off. Comes back with the loader.",
    "streets": "Cones put up. Comes back with the paver.",
    "homes": "Spoke with both sides. Comes back on Monday.",
}

# By department: what staff note for each other.
NOTES: Final[dict[str, tuple[str, ...]]] = {
    "lights": ("Bucket truck needed.", "Same block as last month: check the feeder."),
    "trees": ("Bucket truck needed.", "Get the gate code from the janitor."),
    "clean": ("Bring the loader.", "Get the gate code from the janitor."),
    "streets": ("Parked cars are in the way until nine.", "Bring the small roller."),
    "homes": ("Ring at the side door.",),
}
