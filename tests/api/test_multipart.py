"""Multipart bodies: our parser agrees with an independent one; whatever is not exactly a form is refused."""

import contextlib
from email.message import Message
from email.parser import BytesParser

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop.api import multipart
from loop.errors import ClientError, NotReadable, TooLarge

NAMES = st.text("abcdefghijklmnopqrstuvwxyz_é", min_size=1, max_size=20)
FIELDS = st.dictionaries(NAMES, st.binary(max_size=200), min_size=1, max_size=multipart.MAX_PARTS)


def body(fields: dict[str, bytes], boundary: str = "b") -> bytes:
    """A form as browsers write it."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="x.png"\r\n'.encode()
        + b"Content-Type: image/png\r\n\r\n"
        + value
        + b"\r\n"
        for name, value in fields.items()
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def python(data: bytes, boundary: str) -> dict[str, bytes]:
    """The same body parsed by the standard library's email parser."""
    head = f"Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + data)
    parts = message.get_payload()
    assert isinstance(parts, list)
    found = {}
    for part in parts:
        assert isinstance(part, Message)
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        found[str(part.get_param("name", header="content-disposition"))] = payload
    return found


@pytest.mark.slow
@given(FIELDS)
def test_a_form_comes_out_as_it_went_in(fields: dict[str, bytes]) -> None:
    """Any bytes, under any name, in order."""
    boundary = "0123456789abcdef"
    if not any(boundary.encode() in value for value in fields.values()):
        assert multipart.parts(body(fields, boundary), boundary.encode()) == fields


def test_as_the_standard_library_reads_it() -> None:
    """Our parser and the email parser agree on a form with text, a picture's bytes, and an empty field."""
    fields = {"label": b"4", "image": b"\x89PNG\r\n\x1a\n--b \x00\xff", "empty": b""}
    assert multipart.parts(body(fields), b"b") == python(body(fields), "b") == fields


def test_as_httpx_writes_it() -> None:
    """The body that a real client sends is parsed."""
    request = httpx.Request(
        "POST", "http://x", data={"label": "4"}, files={"image": ('ä"b.png', b"\r\n--", "image/png")}
    )
    boundary = request.headers["content-type"].partition("boundary=")[2]
    assert multipart.parts(request.read(), boundary.encode()) == {"label": b"4", "image": b"\r\n--"}


WHOLE = body({"a": b"1", "c": b"2"})
MALFORMED = {
    "nothing": (b"", b"b"),
    "no boundary": (WHOLE, b""),
    "another boundary": (WHOLE, b"c"),
    "boundary that is none": (WHOLE, b"b\r\n"),
    "preamble": (b"hello\r\n" + WHOLE, b"b"),
    "epilogue": (WHOLE + b"more", b"b"),
    "cut off": (WHOLE[:-6], b"b"),
    "bare line feeds": (WHOLE.replace(b"\r\n", b"\n"), b"b"),
    "no name": (WHOLE.replace(b'; name="a"', b""), b"b"),
    "no disposition": (WHOLE.replace(b"Content-Disposition", b"Content-Position"), b"b"),
    "attachment": (WHOLE.replace(b"form-data;", b"attachment;"), b"b"),
    "control character": (WHOLE.replace(b'"a"', b'"a\x01"'), b"b"),
    "not UTF-8": (WHOLE.replace(b'"a"', b'"\xff"'), b"b"),
    "twice": (body({"a": b"1"})[:-7] + body({"a": b"2"}), b"b"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_refused(name: str) -> None:
    """A malformed form is refused, and nothing is guessed."""
    with pytest.raises(NotReadable):
        multipart.parts(*MALFORMED[name])


def test_too_much() -> None:
    """Too many parts are refused before they are parsed; a header that is too long is refused."""
    with pytest.raises(TooLarge):
        multipart.parts(body({f"n{i}": b"" for i in range(multipart.MAX_PARTS + 1)}), b"b")
    with pytest.raises(NotReadable):
        multipart.parts(body({"a" * 3000: b""}), b"b")


@given(st.binary(max_size=300))
def test_only_our_errors_leave(noise: bytes) -> None:
    """Any bytes between two boundaries are parsed or refused, without another error."""
    with contextlib.suppress(ClientError):
        multipart.parts(b"--b" + noise + b"\r\n--b--\r\n", b"b")
