"""How real cities' 311 lines look in figures: the past of Larkhaven is drawn from them. Figures only.

Unless another city is named, the source is Boston's open table of 2015 service requests (121,145 rows),
counted by us. docs/explanation/demo.md sets the figures beside what the demo makes of them.
"""

from typing import Final, NamedTuple


class Kind(NamedTuple):
    """What is known of a kind of request: how many, and after how many days it is closed."""

    cases: int
    median: float
    p90: float
    likeness: str  # the real type it follows


# service → the real type most like it. Where one real type is several services here, they share its count.
KINDS: Final = {
    "light-out": Kind(7956, 3.6, 41.1, "Street Light Outages"),
    "light-flickering": Kind(900, 1.0, 18.9, "General Lighting Request"),
    "light-all-day": Kind(529, 1.0, 18.9, "General Lighting Request"),
    "pole-damaged": Kind(480, 0.27, 4.9, "Street Light Knock Downs"),
    "wire-down": Kind(119, 0.27, 4.9, "Street Light Knock Downs"),
    "limb-down": Kind(700, 0.12, 1.05, "Tree Emergencies"),
    "tree-on-wire": Kind(85, 0.12, 1.05, "Tree Emergencies"),
    "tree-leaning": Kind(1500, 26.9, 124.8, "Tree Maintenance Requests"),
    "roots-sidewalk": Kind(1400, 26.9, 124.8, "Tree Maintenance Requests"),
    "stump": Kind(1102, 26.9, 124.8, "Tree Maintenance Requests"),
    "basket-full": Kind(2700, 0.31, 14.7, "Empty Litter Basket"),
    "basket-damaged": Kind(273, 0.31, 14.7, "Empty Litter Basket"),
    "bulky-item": Kind(5380, 5.1, 13.8, "Schedule a Bulk Item Pickup"),
    "dumping": Kind(426, 22.9, 90.1, "Trash on Vacant Lot"),
    # Boston's table has no missed collections; Chattanooga says about two days, Gainesville's p90 is 12.9.
    "missed-collection": Kind(1200, 2.0, 12.9, "missed garbage (Chattanooga, Gainesville)"),
    # Boston's potholes are entered when they are filled; Gainesville's Road Repair is told by residents.
    "pothole": Kind(5393, 3.2, 13.4, "Road Repair (Gainesville)"),
    "sidewalk-broken": Kind(4170, 2.15, 65.6, "Sidewalk Repair (Make Safe)"),
    "sign-damaged": Kind(4825, 5.0, 23.1, "Sign Repair"),
    "graffiti": Kind(4284, 16.8, 69.0, "Graffiti Removal"),
    "home-nuisance": Kind(4961, 8.1, 48.1, "Building Inspection Request"),
    "something-else": Kind(370, 2.0, 48.8, "Other (Gainesville)"),
}

# Requests by month, January first; by weekday, Monday first; and by hour of the day.
MONTHS: Final = (7528, 9052, 10208, 10563, 10436, 10332, 10406, 12883, 12555, 10277, 8743, 8162)
WEEKDAYS: Final = (16.7, 19.9, 18.4, 17.5, 16.0, 6.2, 5.3)
HOURS: Final = (
    0.6, 0.5, 0.4, 0.3, 0.4, 0.5, 1.3, 4.2, 8.0, 10.0, 10.4, 9.5,
    8.1, 7.8, 8.7, 8.0, 5.5, 3.9, 3.4, 2.6, 2.1, 1.8, 1.3, 0.7,
)  # fmt: skip

# Calls; app and self-service; staff and their app. Hardly anything else came from other systems.
CHANNELS: Final = {"phone": 51.4, "web": 25.7, "crew": 22.7, "api": 0.2}
PHOTO_SHARE: Final = 0.197  # of all; none of the calls

MERGED_SHARE: Final = 0.038  # closed as a duplicate, of all closed
MERGE_LAG_HOURS: Final = 2.2  # median, from the first case to its duplicate
# Within 50 m and 14 days of an earlier one of the same type: 30 % of lights and trees, 38 % of graffiti,
# 40 % of litter baskets, 24 % of abandoned vehicles, 14 % of dead animals.
NEAR_SHARE: Final = 0.30
REOPENED_SHARE: Final = 0.021  # New Haven 2.3 %, Gainesville 1.9 %
CANCELLED_SHARE: Final = 0.025  # Los Angeles
ANSWERED_SHARE: Final = 0.064  # "Noted" and "Invalid"

# Of Hartford's calls 10 to 11 % became a case for a department.
FOLLOW_UP_SHARE: Final = 0.105
# 43 % of Hartford's households mainly speak another language: Spanish first, then these.
OTHER_LANGUAGES_SHARE: Final = 0.43
LANGUAGES: Final = {"en": 57, "es": 30, "pt": 6, "ht": 4, "pl": 3}
# What people ask. Only the first two places are Hartford's; how often is our guess.
TOPICS: Final = {
    "taxes": 26, "vital-records": 17, "trash": 12, "parking": 8, "bulky-waste": 6, "water": 6,
    "neighbors": 4, "streets": 4, "recycling": 4, "snow": 4, "streetlights": 3, "voting": 3, "library": 3,
    "dogs": 2, "trees": 2,
}  # fmt: skip
