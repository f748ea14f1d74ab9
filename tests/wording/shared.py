"""What several audiences read: states, outcomes, promises, errors, layout."""

from wording import Plural, Sentence
