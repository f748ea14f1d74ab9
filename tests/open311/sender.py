"""What another program sends with every request."""

KEY = "a key of the tests, long enough to be one"
HERE = {"lat": "39.6", "long": "-71.2"}
