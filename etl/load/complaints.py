"""What HubSpot complains of: one reading of its error bodies and of the error entries inside a 207.

Every field of an error is optional and of any shape, so nothing here raises: what cannot be read is absent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from etl import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LONGEST_REASON = 4000
_CODE_IN_MESSAGE = re.compile(r'"error"\s*:\s*"(\w+)"')
_NAME_IN_MESSAGE = re.compile(r'"name"\s*:\s*"(\w+)"')
_PROPERTY_IN_MESSAGE = re.compile(
    r"""propert(?:y|ies)\s*[:=]?\s*\[?(?:["'`]([A-Za-z]\w*)["'`]|([A-Za-z]\w*_\w*))""", re.IGNORECASE
)
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_CODE = re.compile(r"(?:[\w\-]{1,100}\.){0,5}[\w\-]{1,100}")
_SCOPE = re.compile(r"[A-Za-z][\w.\-]{2,99}")

_NEVER = r"(?!)"


class Sign(NamedTuple):
    """What tells one kind of complaint: a code or the status, or the words, but for those that disprove it.

    Gathered from HubSpot's OpenAPI documents and from replies that people have published. Codes are looked
    for in any case, words in lower case.
    """

    codes: str = _NEVER
    words: str = _NEVER
    unless: str = _NEVER

    def is_in(self, codes: Iterable[str], words: str) -> bool:
        if any(re.search(self.codes, code, re.IGNORECASE) for code in codes):
            return True
        return not re.search(self.unless, words) and re.search(self.words, words, re.DOTALL) is not None


_SETUP = Sign(
    codes=r"^(?:PROPERTY_DOESNT_EXIST|PROPERTY_NOT_FOUND|READ_ONLY(?:_VALUE|_PROPERTY)?|NON_UNIQUE_PROPERTY"
    r"|INVALID_ID_PROPERTY)$",
    # of an idProperty the live API says "Unable to perform update/upsert by non-unique 0-1 property …"
    words=r"propert(?:y|ies)\b.{0,200}?\b(?:does not|doesn't|do not|don't) exist"
    r"|non-unique .{0,40}propert"
    r"|propert(?:y|ies)\b.{0,200}?\bnot (?:a |an )?unique"
    r"|(?:not|unknown|invalid) (?:a |an )?unique identifier"
    r"|propert(?:y|ies)\b.{0,200}?\bread[- ]?only",
    unless=r"already|conflict|duplicate|\binvalid_",
)
_MISSING = Sign(
    codes=r"^(?:\w+_)?NOT_FOUND$|^404$",
    words=r"\b(?:objects?|contacts?|records?|ids?)\b.{0,100}?(?:not found|not exist|doesn't exist|deleted)"
    r"|could not (?:get|find) ",
    unless=r"propert(?:y|ies)|gdpr",
)
_TEMPORARY = Sign(
    codes=r"^(?:5\d\d|408|423|429)$|RATE_LIMIT|INTERNAL_(?:SERVER_)?ERROR|(?:^|_)LOCK(?:ED)?(?:$|_)|TIMEOUT"
    r"|SERVICE_UNAVAILABLE|TOO_MANY_REQUESTS"
)
_FORGOTTEN = Sign(words=r"gdpr|permanently[ _]deleted|forgotten")
_NAME_MISSING = Sign(words=r"firstname|lastname|first name|last name|required|at least one")


@dataclass(frozen=True, slots=True)
class Complaint:
    """One error of HubSpot's.

    ``reason`` is HubSpot's own sentence and may hold an address; ``codes``, at least one, run from the most
    specific to the most general; ``identities`` are (key, value) pairs that may name a contact.
    ``words`` is everything it says, lower-cased, without addresses, for looking for signs.
    """

    reason: str
    codes: tuple[str, ...]
    correlation_id: str | None
    status: str
    policy: str
    words: str
    trace_ids: tuple[str, ...]
    identities: tuple[tuple[str, str], ...]
    properties: tuple[str, ...]
    scopes: tuple[str, ...]

    @property
    def code(self) -> str:
        return self.codes[0]

    @property
    def is_about_setup(self) -> bool:
        """A property is missing, read-only or not unique: true of every contact, so of none in particular."""
        return _SETUP.is_in(self.codes, self.words)

    @property
    def is_about_missing(self) -> bool:
        """There is no record with the id that was asked for."""
        return _MISSING.is_in((*self.codes, self.status), self.words)

    @property
    def is_temporary(self) -> bool:
        """HubSpot could not, rather than would not."""
        return _TEMPORARY.is_in((*self.codes, self.status), self.words)

    def is_final_for(self, id_value: str) -> bool:
        """The address was deleted under GDPR and can never come back. The address itself proves nothing."""
        return _FORGOTTEN.is_in((), self._words_without(id_value))

    def misses_a_name(self, id_value: str) -> bool:
        """HubSpot will not create a contact that has no name."""
        return _NAME_MISSING.is_in((), self._words_without(id_value))

    def _words_without(self, id_value: str) -> str:
        return self.words.replace(id_value.strip().lower(), " ") if id_value.strip() else self.words


def complaint(entry: Any, *, body_correlation_id: Any = None, otherwise: str = "UNKNOWN") -> Complaint:
    """The complaint in ``entry``: a whole error body, or one of the ``errors`` of a 207.

    ``otherwise`` is the code of a complaint that has none.
    """
    entry = entry if isinstance(entry, dict) else {}
    details = [detail for detail in listed(entry.get("errors")) if isinstance(detail, dict)]
    message = text(entry.get("message"))
    context = [pair for part in (entry, *details) for pair in _context(part.get("context"))]
    codes = _codes(entry, details, message) or (otherwise,)
    said = [message, *(text(detail.get("message")) for detail in details)]
    return Complaint(
        reason=_reason(said, codes),
        codes=codes,
        correlation_id=correlation_id(entry.get("correlationId")) or correlation_id(body_correlation_id),
        status=str(entry.get("status") or ""),
        policy=_policy(entry.get("policyName")),
        words=_words([*said, *codes, *(f"{key} {value}" for key, value in context)]),
        trace_ids=tuple(value for key, value in context if key == "objectWriteTraceId"),
        identities=tuple(pair for pair in context if pair[0] != "objectWriteTraceId"),
        properties=_properties(said, context, details),
        scopes=_scopes(context),
    )


def correlation_id(value: Any) -> str | None:
    """HubSpot's id of a request, fit for a log; None where it is anything else."""
    return value if isinstance(value, str) and re.fullmatch(r"[0-9A-Za-z-]{1,64}", value) else None


def text(value: Any) -> str:
    """``value`` if it is a text, without what a database refuses: unpaired surrogates and NUL."""
    if not isinstance(value, str):
        return ""
    return value.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")


def _policy(value: Any) -> str:
    return value.upper() if isinstance(value, str) and _CODE.fullmatch(value) else ""


def listed(value: Any) -> list[Any]:
    """``value`` if it is a list, an empty one otherwise."""
    return value if isinstance(value, list) else []


def _context(context: Any) -> Iterator[tuple[str, str]]:
    """The (key, value) pairs of a context, whose values are lists or bare strings."""
    if not isinstance(context, dict):
        return
    for key, values in context.items():
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, str | int) and not isinstance(value, bool):
                yield str(key), text(str(value))


def _codes(entry: dict[Any, Any], details: list[dict[Any, Any]], message: str) -> tuple[str, ...]:
    found = [text(detail.get("code")) for detail in details]
    found += _CODE_IN_MESSAGE.findall(message)
    found += [text(detail.get("subCategory")) for detail in details]
    found += [text(entry.get(key)) for key in ("code", "subCategory", "category", "errorType")]
    return tuple(dict.fromkeys(code.rsplit(".", 1)[-1] for code in found if _CODE.fullmatch(code)))


def _reason(said: list[str], codes: tuple[str, ...]) -> str:
    reason = next((sentence for sentence in said if sentence), "")
    return reason[:_LONGEST_REASON] or f"HubSpot gave no reason ({codes[0]})."


def _words(parts: list[str]) -> str:
    return redact.addresses(" ".join(part for part in parts if part)[:_LONGEST_REASON]).lower()


def _scopes(context: list[tuple[str, str]]) -> tuple[str, ...]:
    named = (value for key, value in context if key.endswith("Scopes") and _SCOPE.fullmatch(value))
    return tuple(dict.fromkeys(named))


def _properties(
    said: list[str], context: list[tuple[str, str]], details: list[dict[Any, Any]]
) -> tuple[str, ...]:
    """The names of the properties that are complained of, as far as they can be told."""
    named = [
        value for key, value in context if key in {"propertyName", "propertyNames", "properties", "name"}
    ]
    named += [name for sentence in said for name in _NAME_IN_MESSAGE.findall(sentence)]
    named += [text(detail.get("in")) for detail in details]
    named += [
        quoted or plain
        for sentence in said
        for quoted, plain in _PROPERTY_IN_MESSAGE.findall(redact.addresses(sentence))
    ]
    return tuple(dict.fromkeys(name for name in named if _PLAIN_NAME.fullmatch(name)))
