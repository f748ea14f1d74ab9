"""Things that are known by their names in several languages, and found by what somebody calls them. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from city.matching import vocabulary
from city.matching.vocabulary import CALLED, TITLE, Term, Text
from city.text import normalize, stem

# For a phrase that was said whole: "se fue la luz" means the power company, and "luz" alone a streetlight.
# For a name too, where nothing else was said: "pothole" means the kind, however often its answer is read.
PHRASE = 0.15


class Name(NamedTuple):
    """A thing with its texts; `more` is added to its score: less than nothing for what comes behind others.

    `phrases` are several words that mean it together, `called` its whole name: as stems in their language.
    """

    key: str
    texts: Sequence[Text]
    phrases: Sequence[tuple[str, frozenset[str]]] = ()
    called: Sequence[tuple[str, frozenset[str]]] = ()
    more: float = 0.0


def name(key: str, said: Mapping[str, Mapping[str, str]], more: float = 0.0) -> Name:
    """A name of `said`: by the mark, the words in every language. Of CALLED, commas stand between phrases."""
    langs = dict.fromkeys(lang for words in said.values() for lang in words)
    texts = [
        vocabulary.text({mark: words.get(lang, "") for mark, words in said.items()}, lang) for lang in langs
    ]
    phrases = [
        (lang, frozenset(_stems(phrase, lang)))
        for lang, words in said.get(CALLED, {}).items() for phrase in words.split(",")
    ]  # fmt: skip
    called = [(lang, frozenset(_stems(words, lang))) for lang, words in said.get(TITLE, {}).items()]
    return Name(key, texts, [each for each in phrases if len(each[1]) > 1], called, more)


def _stems(words: str, lang: str) -> Iterator[str]:
    return (stem(word, lang) for word in normalize(words))


def _is_said(named: Name, typed: Mapping[str, set[str]]) -> bool:
    """Whether one of its phrases was typed, or its name and no more. `typed` are stems, by the language."""
    return any(phrase <= typed[lang] for lang, phrase in named.phrases) or any(
        name == typed[lang] for lang, name in named.called
    )


class Names:
    """Many names, read once."""

    def __init__(self, names: Iterable[Name]) -> None:
        self._names = list(names)
        self.vocabulary = vocabulary.read(
            (text for each in self._names for text in each.texts), in_parts=True
        )

    def scores(self, terms: Sequence[Term], *, least: float) -> dict[str, float]:
        """By the key how well a name fits, about 1 where it has every word; in the order given."""
        texts = ((each.key, text.stems) for each in self._names for text in each.texts)
        found = vocabulary.scores(texts, terms, least=least)
        typed = {lang: {stem(term.word, lang) for term in terms} for lang in self.vocabulary.langs}
        return {
            each.key: found[each.key] + each.more
            + PHRASE * _is_said(each, typed)
            for each in self._names if each.key in found
        }  # fmt: skip
