"""Emails, texts and notifications."""

from wording import Plural, Sentence
