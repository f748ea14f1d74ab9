"""Work of partners, by links and without a log-in. Who they are: people/partners.py."""
