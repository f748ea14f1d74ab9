"""The simulation of field sync: phones in Node, the real city in Python, faults between."""
