"""What Larkhaven's own city file calls things; data of the demo city, no sentences of the product."""

STREETLIGHT = "Streetlight"
STREETLIGHT_OUT = "Streetlight out"
POTHOLE = "Pothole"
DAMAGED_POLE = "Damaged pole"
STREETLIGHT_OUT_ES = "Luz de la calle apagada"
