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

"""Lists of images without the messages that the images bear."""

import json

import hypothesis
from hypothesis import strategies
import pytest
import webob

from hepix_vm.gate import Gate
from hepix_vm.glance_hooks.listing import without_messages
from hepix_vm.glance_hooks.upload_filter import UploadFilter

KEY = 'hepix_endorsement'
IMAGE = {KEY: 'TUlNRQ==', 'id': '1'}
PAGE = json.dumps({'images': [IMAGE, {'id': '2', KEY: 'x', 'tags': [KEY]}],
                   'next': '/v2/images?marker=2'}).encode()

# Names and values that could be taken for the member, or for its end.
words = strategies.text() | strategies.sampled_from([
    KEY, f'"{KEY}": "x"', f', "{KEY}": "',
    f'"{KEY}', f'{{"{KEY}', f', "{KEY}', '\\', '\\"', '"', '{', ', '])
images = strategies.dictionaries(
    words, words | strategies.lists(words) | strategies.none()
    | strategies.integers()).map(lambda image: {
        name: str(value) if name == KEY else value
        for name, value in image.items()})


@hypothesis.given(strategies.lists(images), strategies.sampled_from(
    [None, (',', ':'), (' ,\n ', ' : ')]), strategies.booleans())
def test_nothing_else_is_taken_out(found, separators, plain):
    page = json.dumps({'images': found}, separators=separators,
                      ensure_ascii=plain).encode(errors='surrogatepass')
    short = json.loads(without_messages(page).decode(
        errors='surrogatepass'))
    assert short == {'images': [
        {name: value for name, value in image.items() if name != KEY}
        for image in found]}


def test_a_page_without_them_is_not_copied():
    page = json.dumps({'images': [{'id': '1'}]}).encode()
    assert without_messages(page) is page


def ask(body=PAGE, status='200 OK', kind='application/json',
        path='/v2/images', asked=None, **headers):
    """Ask the filter around an application that answers so."""
    def app(environ, start_response):
        start_response(status, [
            ('Content-Type', kind), ('Content-Length', str(len(body))),
            *headers.items()])
        return [body]
    return webob.Request.blank(path, headers=asked or {}).get_response(
        UploadFilter(app, Gate('glance-api')))


@pytest.mark.parametrize('path', [
    '/v2/images', '/v2/images?limit=2&visibility=all', '/v2//images'])
def test_a_list_is_shortened(path):
    answer = ask(path=path, ETag='1')
    assert answer.json == {
        'images': [{'id': '1'}, {'id': '2', 'tags': [KEY]}],
        'next': '/v2/images?marker=2'}
    assert answer.content_length == len(answer.body)
    assert answer.headers['ETag'] == '1'


@pytest.mark.parametrize('change', [
    {'asked': {'X-HEPiX-Endorsement': 'include'}},
    {'asked': {'x-hepix-endorsement': ' Include '}},
    {'path': '/v2/images/7d6b0a3c-4a43-4e0a-9a55-1b1b7a0a0001'},
    {'path': '/v2/schemas/images'}, {'status': '500 Oops'},
    {'status': '403 Forbidden'}, {'kind': 'text/plain'},
    {'Content_Encoding': 'gzip'}])
def test_what_is_left_as_it_is(change):
    change = {name.replace('_', '-'): value
              for name, value in change.items()}
    answer = ask(**change)
    assert answer.body == PAGE
    assert answer.content_length == len(PAGE)


@pytest.mark.parametrize('asked', ['', 'exclude', 'no'])
def test_only_the_word_counts(asked):
    assert KEY in ask(asked={'X-HEPiX-Endorsement': 'include'}).text
    assert '"TUlNRQ=="' not in ask(
        asked={'X-HEPiX-Endorsement': asked}).text


@pytest.mark.parametrize('body', [b'', b'{"images": [{"hepix_endorsement"'])
def test_what_is_no_page_passes(body):
    assert ask(body).body == body
