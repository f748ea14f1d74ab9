"""Resident pages: report, case, updates, answers, figures, log-in."""

from wording import Plural, Sentence
