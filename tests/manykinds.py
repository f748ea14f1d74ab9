"""A city of 150 kinds of problem, made up, in two languages: `python tests/manykinds.py > city.toml`."""

from itertools import product
from pathlib import Path

from city.settings import DEFAULT_CITY

# group: its icon, and its things with what may be wrong with each.
Said = tuple[str, str]  # English, Spanish
GROUPS: dict[str, tuple[str, Said, list[Said], list[Said]]] = {
    "trash": ("trash-2", ("Trash and recycling", "Basura y reciclaje"),
              [("Trash can", "Basurero"), ("Recycling cart", "Contenedor de reciclaje"),
               ("Yard waste", "Restos de jardín"), ("Dumpster", "Contenedor grande"),
               ("Bulky item", "Objeto grande")],
              [("overflowing", "desbordado"), ("missed by the truck", "olvidado por el camión"),
               ("damaged", "dañado")]),
    "streets": ("signpost", ("Streets and sidewalks", "Calles y aceras"),
                [("Pothole", "Bache"), ("Sidewalk", "Acera"), ("Curb ramp", "Rampa"),
                 ("Bike lane", "Ciclovía"), ("Crosswalk", "Paso de peatones")],
                [("needs repair", "necesita reparación"), ("blocked", "bloqueado"),
                 ("icy or snowy", "con hielo o nieve")]),
    "lights": ("lightbulb", ("Lights and signals", "Luces y señales"),
               [("Streetlight", "Luz de la calle"), ("Traffic signal", "Semáforo"),
                ("Park light", "Luz de parque"), ("Walk signal", "Señal para peatones"),
                ("Utility pole", "Poste")],
               [("out", "apagado"), ("flickering", "que parpadea"), ("knocked down", "tumbado")]),
    "water": ("package", ("Water and sewers", "Agua y drenaje"),
              [("Fire hydrant", "Boca de incendio"), ("Water main", "Tubería de agua"),
               ("Storm drain", "Alcantarilla"), ("Manhole cover", "Tapa de registro"),
               ("Drinking fountain", "Bebedero")],
              [("leaking", "con fuga"), ("missing", "que falta"), ("flooding", "inundado")]),
    "trees": ("tree-deciduous", ("Trees and parks", "Árboles y parques"),
              [("Tree", "Árbol"), ("Playground", "Área de juegos"), ("Park bench", "Banca de parque"),
               ("Grass", "Pasto"), ("Stump", "Tocón")],
              [("fallen", "caído"), ("dangerous", "peligroso"), ("in need of care", "que necesita cuidado")]),
    "animals": ("search", ("Noise and animals", "Ruido y animales"),
                [("Rats", "Ratas"), ("Dog", "Perro"), ("Bees or wasps", "Abejas o avispas"),
                 ("Loud music", "Música fuerte"), ("Construction noise", "Ruido de obra")],
                [("at a home", "en una casa"), ("in a park", "en un parque"),
                 ("on the street", "en la calle")]),
    "buildings": ("layers", ("Buildings", "Edificios"),
                  [("Heat", "Calefacción"), ("Elevator", "Ascensor"), ("Vacant house", "Casa vacía"),
                   ("Mold", "Moho"), ("Construction site", "Obra")],
                  [("not working", "que no funciona"), ("unsafe", "inseguro"),
                   ("without a permit", "sin permiso")]),
    "cars": ("map", ("Cars and parking", "Autos y estacionamiento"),
             [("Abandoned car", "Auto abandonado"), ("Parking meter", "Parquímetro"),
              ("Car on the sidewalk", "Auto en la acera"), ("Truck", "Camión"), ("Scooter", "Patineta")],
             [("blocking the way", "que estorba"), ("broken or damaged", "roto o dañado"),
              ("left for days", "dejado por días")]),
    "signs": ("square-plus", ("Signs and graffiti", "Letreros y grafitis"),
              [("Stop sign", "Señal de alto"), ("Street sign", "Letrero de calle"), ("Graffiti", "Grafiti"),
               ("Poster", "Cartel"), ("Bus stop", "Parada de autobús")],
              [("missing or faded", "que falta o borroso"), ("on city property", "en propiedad pública"),
               ("on private property", "en propiedad privada")]),
    "other": ("ellipsis-vertical", ("Everything else", "Todo lo demás"),
              [("Business", "Negocio"), ("Event", "Evento"), ("Beach", "Playa"), ("Bridge", "Puente"),
               ("Ferry", "Transbordador")],
              [("question", "pregunta"), ("complaint", "queja"), ("needs cleaning", "necesita limpieza")]),
}  # fmt: skip
KINDS = 150
RATS = "animals-0-2"  # on the street
HYDRANT = "water-0-0"  # leaking
DANGER = "lights-4-2"  # a pole that was knocked down
QUESTION = f"""[[services.{HYDRANT}.questions]]
code = "open"
datatype = "singlevaluelist"
required = true
words = {{ en = "Is it open?", es = "¿Está abierta?" }}
values = [
  {{ code = "yes", words = {{ en = "Yes", es = "Sí" }} }},
  {{ code = "no", words = {{ en = "No", es = "No" }} }},
]

"""
WORDS = {RATS: "mice, rodents", HYDRANT: "open hydrant"}


def toml() -> str:
    """The city file."""
    head = DEFAULT_CITY.read_text("utf-8").split("# The tiles, in the order they stand.")[0]
    lines = [line for line in head.splitlines() if not line.startswith(("hours =", "calendar ="))]
    return "\n".join([*lines, *_groups(), *_services()])


def _groups() -> list[str]:
    return [
        f'[groups.{code}]\nicon = "{icon}"\nnames = {_words(names)}\n\n'
        for code, (icon, names, _things, _faults) in GROUPS.items()
    ]


def _services() -> list[str]:
    found = []
    for group, (_icon, _names, things, faults) in GROUPS.items():
        last = len(things) - 1, len(faults) - 1
        for (n, thing), (m, fault) in product(enumerate(things), enumerate(faults)):
            code = f"{group}-{n}-{m}"
            names = (f"{thing[0]} {fault[0]}", f"{thing[1]} {fault[1]}")
            is_last = group == "other" and (n, m) == last
            more = "default = true\n" if (is_last or (group != "other" and n == m == 0)) else ""
            more += "urgent = true\n" if code == DANGER else ""
            more += f"words = {_words((WORDS[code], WORDS[code]))}\n" if code in WORDS else ""
            names = ("Something else", "Otra cosa") if is_last else names
            found.append(
                f'[services.{code}]\ngroup = "{group}"\nnames = {_words(names)}\ndepartment = "streets"\n'
                f"promise_days = 5\n{more}\n"
            )
            if code == HYDRANT:
                found.append(QUESTION)
    return found


def _words(said: Said) -> str:
    return f'{{ en = "{said[0]}", es = "{said[1]}" }}'


def write(folder: Path) -> Path:
    """The city file in a folder."""
    path = folder / "many.toml"
    path.write_text(toml(), "utf-8")
    return path


if __name__ == "__main__":
    print(toml())
