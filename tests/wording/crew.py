"""The crew app."""

from wording import Plural, Sentence
