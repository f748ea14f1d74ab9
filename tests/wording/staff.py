"""Staff pages: board, call desk, administration, editor, records."""

from wording import Plural, Sentence
