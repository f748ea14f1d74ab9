"""What Larkhaven's own city file calls things; data of the demo city, no sentences of the product."""

STREETLIGHT = "Streetlight"
STREETLIGHT_OUT = "Streetlight out"
POTHOLE = "Pothole"
STREETLIGHT_OUT_ES = "Luz de la calle apagada"
