"""Sentences that remember what they were made of, so that they can be told in another language."""

from collections.abc import Mapping


class Sentence(str):
    """An English sentence: `key` with its `{named}` places filled. It is that text wherever a str is wanted."""

    key: str
    places: Mapping[str, object]

    def __new__(cls, key: str, /, **places: object) -> "Sentence":
        """The text is `key` as it stands where there are no places, so braces in it mean nothing then."""
        sentence = super().__new__(cls, key.format_map(places) if places else key)
        sentence.key, sentence.places = key, places
        return sentence
