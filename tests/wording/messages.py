"""Emails, texts and notifications."""

from wording import Plural, Sentence

CASES_LATE = Plural("%(num)d case is late", "%(num)d cases are late")
DIGEST_CLOSED = Plural("%(num)d closed", "%(num)d closed")
DIGEST_NEW = Plural("%(num)d new", "%(num)d new")
DIGEST_SUBJECT = Sentence("%(place)s: %(counts)s")
OUTCOME_SUBJECT = Sentence("%(what)s: %(outcome)s (%(number)s)")
QUESTION_REOPENED = Sentence("We reopened your question, and someone will get back to you.")
REOPENED_SUBJECT = Sentence("%(what)s: reopened (%(number)s)")
SEE_WHAT_WAS_DONE = Sentence("See what was done:")
