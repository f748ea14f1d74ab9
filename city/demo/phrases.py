"""What the residents and crews of Larkhaven write, by service and language."""

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
        "en": ("A couch, soaked by now.", "Two mattresses by the wall.", "Old fridge, door still on."),
        "es": ("Un sofá mojado en la acera.", "Dos colchones junto a la pared."),
    },
    "missed-collection": {
        "en": ("Ours is the only side not picked up.", "Recycling is still out."),
        "es": ("No pasaron por este lado.",),
    },
    "dumping": {
        "en": ("Paint cans and tiles behind the wall.", "Someone leaves bags here at night."),
        "es": ("Dejan bolsas aquí de noche.",),
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

FIXED: Final[dict[str, tuple[str, ...]]] = {
    "lights": ("New lamp put in. It is on again.", "Changed the sensor.", "New fuse. All three are on."),
    "trees": (
        "Cut up and taken away.",
        "Trimmed the crown and braced it.",
        "Ground it out and filled the hole.",
    ),
    "clean": ("Emptied it and swept around it.", "Picked up.", "Cleared and washed down."),
    "streets": ("Filled and rolled.", "Straightened and bolted down."),
    "homes": ("Spoke with the owner.",),
}

ELSE: Final[dict[str, tuple[str, ...]]] = {
    "not found": ("We checked the whole block and didn't find it.",),
    "not ours": ("This belongs to the power company. We've let them know.",),
    "no action": ("This is on private property, where the city can't work.",),
}

NOT_FIXED: Final[dict[str, tuple[str, ...]]] = {
    "en": ("It went out again the same night.", "They only took half of it."),
    "es": ("Se volvió a apagar esa misma noche.", "Solo se llevaron la mitad."),
}

NOTES: Final = (
    "Caller will meet the crew after four.",
    "Bucket truck needed.",
    "Get the gate code from the janitor.",
    "Same block as last month: check the feeder.",
)
