# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The body of an upload, without a Glance around it."""

import hashlib
import io
import sys
import types

import pytest
import webob.exc

from hepix_vm.errors import Code
from hepix_vm.glance_hooks import body
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

DATA = bytes(range(256)) * 40


class Case:
    """A fake of hepix_vm.gate.Case: allows one digest."""

    def __init__(self, allowed=DATA, size_limit=None):
        self.size_limit = size_limit
        self.judged = []
        self._allowed = hashlib.sha512(allowed).hexdigest()

    def judge(self, sha512, size):
        self.judged.append(size)
        if sha512 == self._allowed:
            return Verdict(())
        return self.refuse(Reason(Code.CHECKSUM_MISMATCH, 'Other bytes.'))

    def refuse(self, reason):
        return Verdict((reason,))


def undisturbed():
    """Stand in for what finds that the upload was disturbed."""


def install(data=DATA, case=None, check=undisturbed, **environ):
    environ = {'wsgi.input': io.BytesIO(data),
               'CONTENT_LENGTH': str(len(data)), **environ}
    reader = body.HashingReader(body.source_of(environ), case or Case(),
                                check)
    reader.install(environ)
    return reader, environ


def read_all(reader, size=1000):
    return b''.join(iter(lambda: reader.read(size), b''))


@pytest.mark.parametrize('size', [1, 7, 4096, len(DATA), -1])
def test_the_endorsed_bytes_pass_unchanged(size):
    reader, _ = install()
    assert read_all(reader, size) == DATA
    assert reader.verdict.allowed


def test_other_bytes_are_refused_with_the_last_one():
    reader, _ = install(DATA[:-1] + b'?')
    with pytest.raises(webob.exc.HTTPUnprocessableEntity) as caught:
        read_all(reader)
    assert '[checksum-mismatch]' in caught.value.explanation


def test_a_refusal_stays():
    reader, _ = install(b'?')
    for _ in range(3):
        with pytest.raises(webob.exc.HTTPUnprocessableEntity):
            reader.read(10)


def test_the_verdict_does_not_wait_for_the_end_of_file():
    case = Case()
    reader, _ = install(case=case)
    reader.read(len(DATA))
    assert case.judged == [len(DATA)]


def test_reading_nothing_is_not_the_end():
    reader, _ = install()
    assert reader.read(0) == b''
    assert reader.verdict is None
    assert read_all(reader) == DATA


def test_an_upload_that_ends_early():
    reader, _ = install(DATA[:100], CONTENT_LENGTH=str(len(DATA)))
    with pytest.raises(webob.exc.HTTPUnprocessableEntity) as caught:
        read_all(reader)
    assert '[size-mismatch]' in caught.value.explanation


def test_more_than_was_endorsed_is_not_read_to_its_end():
    reader, _ = install(case=Case(size_limit=1500))
    with pytest.raises(webob.exc.HTTPUnprocessableEntity) as caught:
        read_all(reader)
    assert '[size-mismatch]' in caught.value.explanation


def test_an_empty_body_is_judged_at_once():
    with pytest.raises(webob.exc.HTTPUnprocessableEntity):
        install(b'')
    reader, _ = install(b'', Case(allowed=b''))
    assert reader.verdict.allowed


def test_without_a_length_the_body_is_empty():
    case = Case()
    with pytest.raises(webob.exc.HTTPUnprocessableEntity):
        install(DATA, case, CONTENT_LENGTH='')
    assert case.judged == [0]


@pytest.mark.parametrize('length', ['abc', '-1', '1, 2', '1_0', '²', ' '])
def test_lengths_that_are_none(length):
    with pytest.raises(webob.exc.HTTPBadRequest):
        install(CONTENT_LENGTH=length)


@pytest.mark.parametrize('encoding', [
    'gzip', 'gzip, chunked', 'chunked, chunked', 'xchunked', 'identity'])
def test_other_transfer_encodings(encoding):
    with pytest.raises(webob.exc.HTTPBadRequest):
        install(HTTP_TRANSFER_ENCODING=encoding)


@pytest.mark.parametrize('length', ['', '0', '5', str(len(DATA))])
@pytest.mark.parametrize('encoding', ['chunked', 'Chunked', ' chunked '])
def test_chunks_win_over_a_length(encoding, length):
    reader, environ = install(HTTP_TRANSFER_ENCODING=encoding,
                              CONTENT_LENGTH=length)
    assert environ['wsgi.input'] is reader
    assert environ['wsgi.input_terminated'] is True
    assert 'HTTP_TRANSFER_ENCODING' not in environ
    assert 'CONTENT_LENGTH' not in environ
    assert read_all(reader) == DATA
    assert reader.verdict.allowed


@pytest.mark.parametrize('size', [1, 3, 1000, -1])
def test_chunks_of_uwsgi(monkeypatch, size):
    chunks = [DATA[i:i + 999] for i in range(0, len(DATA), 999)]
    uwsgi = types.SimpleNamespace(
        chunked_read=lambda: chunks.pop(0) if chunks else b'')
    monkeypatch.setitem(sys.modules, 'uwsgi', uwsgi)
    reader, _ = install(b'not from here', HTTP_TRANSFER_ENCODING='chunked')
    assert read_all(reader, size) == DATA
    assert reader.verdict.allowed


def test_a_disturbed_upload_is_not_judged():
    def disturbed():
        raise webob.exc.HTTPConflict

    case = Case()
    reader, _ = install(case=case, check=disturbed)
    with pytest.raises(webob.exc.HTTPConflict):
        read_all(reader)
    assert case.judged == []


@pytest.mark.parametrize('length', ['9' * 5000, '\u0661', '-1', '1e3'])
def test_a_length_that_is_none(length):
    with pytest.raises(webob.exc.HTTPBadRequest):
        body.source_of({'wsgi.input': io.BytesIO(), 'CONTENT_LENGTH': length})
