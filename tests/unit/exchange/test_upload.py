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

"""An endorser's image in a cloud that does not do as one wishes."""

import datetime
import logging

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.catalogue import Abilities
from hepix_vm.exchange import imports
from hepix_vm.exchange import measure
from hepix_vm.exchange import upload
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict
from tests.testbed import pki
from tests.testbed.site import entry

DATA = b'the bytes of an image'


class Glance:
    """A catalogue of one image, which is scripted."""

    def __init__(self, **task):
        self.methods, self.formats = {'glance-direct'}, {'raw'}
        self.image = {'status': 'importing'}
        self.task = {'status': 'failure', 'message': 'No\x1bspace left.',
                     'updated_at': pki.utcnow().isoformat(), **task}
        self.refusals = []
        self.calls = []

    def abilities(self):
        return Abilities(frozenset(self.methods), frozenset(self.formats),
                         frozenset({'bare'}))

    def create(self, **values):
        self.calls.append('create')
        self.image['id'] = values['id']
        return self.image

    def stage(self, image_id, data):
        assert data.read() == DATA

    def admit(self, image_id, stores):
        self.calls.append('admit')

    def show(self, image_id):
        return self.image

    def tasks(self, image_id):
        return [self.task]

    def delete(self, image_id):
        self.calls.append('delete')
        if self.refusals:
            raise ServiceError('It is busy.', self.refusals.pop(0), 'x')


@pytest.fixture
def file(tmp_path):
    (tmp_path / 'image').write_bytes(DATA)
    return measure.of_file(str(tmp_path / 'image'))


def bring(glance, file):
    return upload.Uploader(glance, lambda count: None).upload(
        'mine', file, 'signed', entry(DATA))


def test_an_import_that_fails_leaves_nothing(file):
    glance = Glance()
    with pytest.raises(HepixVmError, match='says: No space left[.]$'):
        bring(glance, file)
    assert glance.calls == ['create', 'admit', 'delete']


def test_an_import_that_is_dead(file):
    glance = Glance(status='processing', updated_at=(
        pki.utcnow() - datetime.timedelta(hours=3)).isoformat())
    with pytest.raises(HepixVmError, match='no sign of life'):
        bring(glance, file)
    assert glance.calls[-1] == 'delete'


def test_an_image_that_is_busy_is_deleted_later(file):
    glance = Glance()
    glance.refusals = [409, 409]
    with pytest.raises(HepixVmError, match='No space left'):
        bring(glance, file)
    assert glance.calls[2:] == ['delete'] * 3


def test_what_stays_is_said(file, caplog):
    glance = Glance()
    glance.refusals = [403]
    with caplog.at_level(logging.ERROR), pytest.raises(
            HepixVmError, match='No space left'):
        bring(glance, file)
    assert f'openstack image delete {glance.image["id"]}' in caplog.text


@pytest.mark.parametrize(('lacks', 'word'), [
    ('methods', 'glance-direct'), ('formats', 'disk_format raw')])
def test_a_cloud_that_takes_no_such_image(file, lacks, word):
    glance = Glance()
    getattr(glance, lacks).clear()
    with pytest.raises(HepixVmError, match=word):
        bring(glance, file)
    assert glance.calls == []


def test_of_a_file_that_changed_nothing_is_sent(file, tmp_path):
    (tmp_path / 'new').write_bytes(DATA)
    (tmp_path / 'new').replace(tmp_path / 'image')
    glance = Glance()
    with pytest.raises(ConfigError, match='changed since it was read'):
        bring(glance, file)
    assert glance.calls == []


def test_all_that_the_gate_says_is_read():
    said = (Reason(Code.SIZE_MISMATCH, 'It has [x] 1 byte.'),
            Reason(Code.NOT_ENDORSED, 'Nobody did.'))
    words = f'Task failed: {Verdict(said).explain()}'
    assert imports.reasons(words) == said
    # Of a gate that is newer.
    found, = imports.reasons(words.partition('[size')[0]
                             + '[new-code] Something. Do something.')
    assert (found.code, found.message) == (
        Code.INTERNAL_ERROR, '[new-code] Something. Do something.')
    assert imports.reasons('[size-mismatch] No space left.') == ()
    found, = imports.reasons(words.partition('[size')[0]
                             + '[malformed] a\x1b[2J\nb')
    assert found.message == 'a [2J b'
