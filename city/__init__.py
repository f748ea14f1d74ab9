"""The rules of the city: cases, reports, people, places, photos, and the log. Knows no HTTP."""
