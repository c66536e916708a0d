"""The filter language of subscriptions, over message attributes.

    attributes:key · attributes.key = "v" · attributes.key != "v" · hasPrefix(attributes.key, "p"), AND, OR, NOT, -, ()

AND and OR in one expression need parentheses. Keys and values are case-sensitive; a key with other characters than
letters, digits, - and _ is quoted. https://cloud.google.com/pubsub/docs/subscription-message-filter
"""

import ast
import re
from collections.abc import Callable, Mapping

Attributes = Mapping[str, str]
Predicate = Callable[[Attributes], bool]

MAX_FILTER_BYTES = 256
_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|([A-Za-z0-9_][A-Za-z0-9_-]*)|(!=|[-=:.(),]))')


class FilterError(ValueError):
    """A filter that is not in the language; the text says where."""


def parse(text: str) -> Predicate:
    """The test that a filter makes of a message's attributes; an empty filter lets all pass. Raises FilterError."""
    if len(text.encode()) > MAX_FILTER_BYTES:
        raise FilterError(f"the filter has {len(text.encode())} bytes; at most {MAX_FILTER_BYTES} are allowed")
    if not text.strip():
        return lambda _attributes: True
    parser = _Parser(_tokens(text))
    predicate = parser.expression()
    if parser.next is not None:
        raise FilterError(f"unexpected {parser.next!r} in the filter")
    return predicate


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise FilterError(f"unexpected {text[at:].strip()[:20]!r} in the filter")
        tokens.append(match.group().strip())
        at = match.end()
    return tokens


class _Parser:
    """Recursive descent over the tokens; each method consumes what it names."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def next(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def expression(self) -> Predicate:
        terms = [self.term()]
        operator = self.next if self.next in ("AND", "OR") else None
        while self.next == operator is not None:
            self._take()
            terms.append(self.term())
        if self.next in ("AND", "OR"):
            raise FilterError("AND and OR in one filter need parentheses")
        if operator == "OR":
            return lambda attributes: any(term(attributes) for term in terms)
        return lambda attributes: all(term(attributes) for term in terms)

    def term(self) -> Predicate:
        if self.next in ("NOT", "-"):
            self._take()
            negated = self.term()
            return lambda attributes: not negated(attributes)
        if self.next == "(":
            self._take()
            inner = self.expression()
            self._expect(")")
            return inner
        if self.next == "hasPrefix":
            return self._has_prefix()
        return self._comparison()

    def _has_prefix(self) -> Predicate:
        self._take()
        for expected in ("(", "attributes", "."):
            self._expect(expected)
        key = self._key()
        self._expect(",")
        prefix = self._string()
        self._expect(")")
        return lambda attributes: attributes.get(key, "").startswith(prefix) and key in attributes

    def _comparison(self) -> Predicate:
        self._expect("attributes")
        if self.next == ":":
            self._take()
            present = self._key()
            return lambda attributes: present in attributes
        self._expect(".")
        key = self._key()
        operator = self._take()
        if operator not in ("=", "!="):
            raise FilterError(f"expected = or != after attributes.{key}, found {operator!r}")
        value = self._string()
        if operator == "=":
            return lambda attributes: attributes.get(key) == value
        return lambda attributes: attributes.get(key) != value

    def _key(self) -> str:
        token = self._take()
        if token.startswith('"'):
            return _unquoted(token)
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", token):
            raise FilterError(f"expected an attribute key, found {token!r}")
        return token

    def _string(self) -> str:
        token = self._take()
        if not token.startswith('"'):
            raise FilterError(f"expected a quoted string, found {token!r}")
        return _unquoted(token)

    def _expect(self, expected: str) -> None:
        if self.next != expected:
            raise FilterError(f"expected {expected!r}, found {self.next or 'the end'!r}")
        self._take()

    def _take(self) -> str:
        token = self.next
        if token is None:
            raise FilterError("the filter ends too early")
        self._at += 1
        return token


def _unquoted(token: str) -> str:
    # The language's escapes (\\n, \\", \\x41, \\101, \\u0041) are Python's own.
    try:
        return str(ast.literal_eval(token))
    except (SyntaxError, ValueError):
        raise FilterError(f"bad escape in {token}") from None
