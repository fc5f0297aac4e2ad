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

"""What we write into properties is what Glance's columns take."""

import dataclasses

import pytest

from hepix_vm.errors import Code
from hepix_vm.exchange.present import Present
from hepix_vm.exchange import record
from hepix_vm import properties
from hepix_vm.subscriptions import Properties
from hepix_vm.trust.model import Endorsement
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.unit.exchange import models

# TEXT of MySQL, with three bytes a character at most.
MOST_BYTES = 64 * 1024 - 1
# The longest that it takes of a character, and longer ones.
WORDS = ('\uffff' * 25_000, '\U0001f600' * 25_000,
         '\uffff' * 5000, '\U0001f600' * 5000)


def image_list(word):
    named = models.entry(
        'one', title=word, description=word, version=word, uri=word,
        hypervisor=word, arch=word, os=word, osname=word, osversion=word,
        extra={'ad:mpuri': word, 'ad:group': word, 'dc:date:created': word})
    return dataclasses.replace(
        models.image_list('list', named), version=word, vo=word)


def check(written):
    for name, value in written.items():
        if isinstance(value, str):
            assert len(value.encode()) <= MOST_BYTES, name
            assert max(value, default='') <= '\uffff', name


@pytest.mark.parametrize('word', WORDS)
def test_what_a_verdict_writes(word):
    endorsed_by = image_list(word)
    certificate = pki.Authority.create(CA).issue(ALICE).certificate
    endorsement = Endorsement(
        endorsed_by.images[0], endorsed_by, dataclasses.replace(
            endorsed_by.endorser, dn=word), certificate, 'lists')
    written = properties.of_verdict(
        Verdict((), endorsement, sha512='0' * 128), False, False)
    assert {'hepix_uri', 'hepix_vo', 'os_version', 'hepix_endorser_dn',
            'hepix_production_date'} <= written.keys()
    check(written)


@pytest.mark.parametrize('word', WORDS)
def test_what_a_refusal_writes(word):
    reason = Reason(Code.HYPERVISOR_UNSUPPORTED, f'made for {word}')
    written = properties.of_refusal(
        Verdict((reason,) * 100), 'refused')['hepix_reason']
    assert written.startswith('hypervisor-unsupported: made for ')
    check({'hepix_reason': written})


def test_what_an_operator_said_comes_first():
    verdict = Verdict(tuple(Reason(code, f'{code.name} it') for code in (
        Code.CRL_EXPIRED, Code.LIST_EXPIRED, Code.IMAGE_BLOCKED,
        Code.IMAGE_REVOKED, Code.ENDORSER_MISMATCH)))
    written = properties.of_refusal(verdict, 'revoked')['hepix_reason']
    assert [each.partition(':')[0] for each in written.split('; ')] == [
        'image-revoked', 'image-blocked', 'list-expired', 'crl-expired',
        'endorser-mismatch']


@pytest.mark.parametrize('word', WORDS)
def test_what_a_new_record_has(word):
    model = models.Model()
    model.accept(image_list(word), projects={word: ('atlas',)},
                 compatibility=frozenset(Properties))
    found, = model.wanted()[0].values()
    written = record.record_of(found)
    assert {'hepix_uri', 'appdb_id', 'CLOUDKEEPER_digest'} <= written.keys()
    check(written)


def test_what_is_too_long_for_other_tools_is_left_out():
    model = models.Model()
    model.accept(image_list('\uffff' * 5000),
                 projects={'\uffff' * 5000: ('atlas',)},
                 compatibility=frozenset(Properties))
    found, = model.wanted()[0].values()
    written = record.record_of(found)
    assert len(written['CLOUDKEEPER_title']) == 5000
    assert 'APPLIANCE_ATTRIBUTES' not in written


def test_what_was_refused_is_known_again():
    word = '\U0001f600' * 5000
    model = models.Model()
    model.accept(image_list(word), projects={word: ('atlas',)})
    found, = model.wanted()[0].values()
    kept = record.record_of(found)
    model.images = [Present(
        'x', 'queued', kept['name'], models.NOW, 0, kept['hepix_sha512'],
        kept['hepix_subscription'], kept['hepix_list_id'],
        kept['hepix_list_version'], kept['hepix_image_id'],
        kept['hepix_uri'], state='refused',
        reason='checksum-mismatch: Other bytes.',
        tried=frozenset({found.mark}))]
    made = model.plan()
    assert made.chains == () and len(made.refusals) == 1
