"""The fields of a form, from whoever sends one: what cannot be read is refused, and reading never takes long."""

from collections.abc import Collection
from typing import TypeAlias

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_request import FileField
from multidict import MultiDictProxy

Posted: TypeAlias = MultiDictProxy[str | bytes | bytearray | FileField]

#: Browsers send forms as their page is written, which is UTF-8. Python knows encodings besides (punycode) that take
#: a minute to read what anybody can send in a moment.
CHARSETS: Collection[str] = frozenset(
    {"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "latin1", "windows-1252", "cp1252"}
)


class UnreadableForm(Exception):
    """The form cannot be read."""


async def posted(request: web.Request) -> Posted:
    """The fields, read once. Raises `UnreadableForm`, or `web.HTTPRequestEntityTooLarge`."""
    try:
        _checked(request.charset or "utf-8")
        return await request.post()
    except (ValueError, LookupError, RuntimeError, HttpProcessingError) as error:
        raise UnreadableForm(type(error).__name__) from None


def _checked(charset: str) -> str:
    if charset.strip().lower() not in CHARSETS:
        raise LookupError("not a charset of forms")
    return charset


class _Part(BodyPartReader):
    """A field of a multipart form, which may name a charset of its own."""

    def get_charset(self, default: str) -> str:
        return _checked(super().get_charset(default))


MultipartReader.part_reader_cls = _Part
