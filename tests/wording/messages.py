"""Emails, texts and notifications."""

from wording import Plural, Sentence

ALL_SET = Sentence("You're all set.")
ANSWERED = Sentence("We answered your question.")
CASES_LATE = Plural("%(num)d case is late", "%(num)d cases are late")
CREW_ASSIGNED = Sentence("We assigned a crew.")
DIGEST_CLOSED = Plural("%(num)d closed", "%(num)d closed")
DIGEST_NEW = Plural("%(num)d new", "%(num)d new")
DIGEST_SUBJECT = Sentence("%(place)s: %(counts)s")
FIXED = Sentence("The problem you reported is fixed.")
LINK_MADE = Sentence("Someone made a login link for you")
LINK_MADE_BY = Sentence("%(name)s made a link that logs in as you once, within a day.")
LOGIN_CODE = Sentence("Your login code")
OUTCOME_SUBJECT = Sentence("%(what)s: %(outcome)s (%(number)s)")
PHOTOS_SENT = Plural("You sent %(num)d photo.", "You sent %(num)d photos.")
QUESTION_REOPENED = Sentence("We reopened your question, and someone will get back to you.")
REOPENED_SUBJECT = Sentence("%(what)s: Reopened (%(number)s)")
REPORT_RECEIVED = Sentence("We got your report.")
SOMEONE_GUESSES = Sentence("Someone is guessing your login code")
SOMEONE_GUESSES_AT = Sentence("Someone entered too many wrong codes for %(name)s (%(email)s).")
SEE_WHAT_WAS_DONE = Sentence("See what was done")
