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

"""The gate on real files: settings, anchors, messages, journal."""

import datetime
import os
import stat

from cryptography import x509
from cryptography.x509.oid import NameOID
import pytest

from hepix_vm import errors
from hepix_vm.errors import Code
from hepix_vm.gate import Case
from hepix_vm.gate import Gate
from hepix_vm import sources
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.policy import Subject
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.testbed.site import entry
from tests.unit.judging import BOB_ENDORSES
from tests.unit.judging import codes
from tests.unit.judging import DATA
from tests.unit.judging import DIGEST
from tests.unit.judging import HOUR
from tests.unit.judging import IMAGE
from tests.unit.judging import inline
from tests.unit.judging import journal
from tests.unit.judging import judge
from tests.unit.judging import LIST


def test_an_endorsed_image_passes(site):
    verdict = judge(site, site.endorse(DATA))
    assert verdict.allowed, verdict.explain()
    assert verdict.sha512 == DIGEST
    assert verdict.endorsement.signer.dn == ALICE
    assert verdict.endorsement.signer.ca == CA


def test_nobody_endorsed_it(site):
    verdict = judge(site)
    assert codes(verdict) == {Code.NOT_ENDORSED}
    assert not verdict.allowed


def test_every_refusal_says_code_sentence_and_remedy(site):
    text = judge(site).explain()
    assert '[not-endorsed]' in text
    assert errors.REMEDIES[Code.NOT_ENDORSED] in text


@pytest.mark.parametrize('data', [DATA + b' ', DATA[:-1], b'',
                                  DATA[:-1] + b'?'])
def test_tampered(site, data):
    verdict = judge(site, site.endorse(DATA), data=data)
    assert Code.CHECKSUM_MISMATCH in codes(verdict)
    assert (Code.SIZE_MISMATCH in codes(verdict)) == (
        len(data) != len(DATA))


def test_a_size_that_cannot_match_is_refused_before_reading(site):
    case = Case(Gate('glance-api'), Subject(
        at=pki.utcnow(), endorsement=site.endorse(DATA), size=3))
    assert codes(case.early()) == {Code.SIZE_MISMATCH}


@pytest.mark.parametrize('changes, code', [
    ({'expires': pki.utcnow() - HOUR / 2}, Code.LIST_EXPIRED),
    ({'created': pki.utcnow() + HOUR}, Code.LIST_NOT_YET_VALID),
    ({'hypervisor': 'xen'}, Code.HYPERVISOR_UNSUPPORTED),
    ({'format': 'QCOW2'}, Code.FORMAT_MISMATCH),
    ({'format': 'raw.gz'}, Code.FORMAT_MISMATCH),
    ({'vo': 'other.example.org'}, Code.ENDORSER_NOT_ACCEPTED),
])
def test_what_the_endorsement_says_is_checked(site, changes, code):
    changes = {name: value.replace(microsecond=0)
               if isinstance(value, datetime.datetime) else value
               for name, value in changes.items()}
    site.write_policy(endorsers=[
        {'dn': ALICE, 'ca': CA, 'vo': 'vo.example.org'}])
    # An image without a date of its own expires with its list.
    also = {Code.IMAGE_EXPIRED} if code is Code.LIST_EXPIRED else set()
    assert codes(judge(site, site.endorse(DATA, **changes))) == {code} | also


@pytest.mark.parametrize('formats', [
    ('qcow2', 'bare'), ('qcow2', 'ami'), ('vmdk', 'ari'), ('vhd', 'aki')])
def test_the_container_does_not_excuse_the_format_of_the_disk(site, formats):
    disk, container = formats
    assert codes(judge(site, site.endorse(DATA), disk_format=disk,
                       container_format=container)) == {Code.FORMAT_MISMATCH}


def test_an_appliance_is_told_by_its_container(site):
    text = site.endorse(DATA, format='OVA')
    assert judge(site, text, disk_format='vmdk',
                 container_format='ova').allowed
    assert codes(judge(site, text, disk_format='vmdk',
                       container_format='bare')) == {Code.FORMAT_MISMATCH}


def test_an_override_lets_an_expired_image_pass(site):
    image = entry(DATA, expires=(pki.utcnow() - HOUR).replace(microsecond=0))
    text = inline(site, site.image_list(image))
    override = {'image': image.identifier, 'reason': 'r', 'author': 'a'}
    site.write_policy(overrides=[{**override, 'until': '2999-01-01'}])
    assert judge(site, text).allowed
    site.write_policy(overrides=[{**override, 'until': '2001-01-01'}])
    assert codes(judge(site, text)) == {Code.IMAGE_EXPIRED}
    site.write_policy(
        overrides=[{**override, 'until': '2999-01-01'}],
        blocked=[{'image': image.identifier, 'reason': 'broken'}])
    assert codes(judge(site, text)) == {Code.IMAGE_BLOCKED}


def test_a_stranger_with_a_good_certificate(site):
    text = site.endorse(DATA, signer=site.bob, endorser=BOB_ENDORSES)
    assert codes(judge(site, text)) == {Code.ENDORSER_NOT_ACCEPTED}


def test_a_rogue_ca_of_the_same_name(site):
    rogue = pki.Authority.create(CA, key=pki.make_key('ec'))
    text = site.endorse(DATA, signer=rogue.issue(ALICE))
    assert Code.UNTRUSTED_CA in codes(judge(site, text))


def test_a_revoked_endorser(site):
    text = site.endorse(DATA)
    gate = Gate('glance-api')
    assert judge(site, text, gate=gate).allowed
    site.write_anchors(revoked=[site.alice])
    assert codes(judge(site, text, gate=gate)) == {Code.SIGNER_REVOKED}


@pytest.mark.parametrize('block', [
    {'sha512': DIGEST}, {'glance_image': IMAGE}, {'list': LIST},
    {'endorser': ALICE}])
def test_blocked(site, block):
    text = site.endorse(DATA, identifier=LIST)
    site.write_policy(blocked=[{**block, 'reason': 'CVE-2026-0001'}])
    verdict = judge(site, text)
    assert codes(verdict) == {Code.IMAGE_BLOCKED}
    assert 'CVE-2026-0001' in verdict.explain()


@pytest.mark.parametrize('written', ['/CN=robot/CN=x', '/CN=robot\\/CN=x'])
def test_an_endorser_is_blocked_in_every_spelling(site, written):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'robot/CN=x')])
    robot = site.authority.issue(name)
    dn = '/CN=robot\\/CN=x'
    site.write_policy(endorsers=[{'dn': dn, 'ca': CA}])
    text = site.endorse(DATA, signer=robot, endorser=Endorser(dn, CA))
    assert judge(site, text).allowed
    site.write_policy(endorsers=[{'dn': dn, 'ca': CA}],
                      blocked=[{'endorser': written, 'reason': 'lost key'}])
    assert codes(judge(site, text)) == {Code.IMAGE_BLOCKED}


@pytest.mark.parametrize('text', [
    'no base64 at all!', 'aGVsbG8=', '{"hv:imagelist": {}}', 'A' * 50000])
def test_what_is_no_endorsement(site, text):
    verdict = judge(site, text)
    assert codes(verdict) <= {Code.MALFORMED, Code.UNSIGNED, Code.TOO_LARGE}
    assert not verdict.allowed


def test_an_endorser_of_the_same_name_with_another_ca(site):
    other = pki.Authority.create('/C=EU/O=Other Grid/CN=Other CA')
    pki.write_folder(site.anchors, [site.authority, other])
    namesake = other.issue(ALICE)
    text = site.endorse(DATA, signer=namesake,
                        endorser=Endorser(ALICE, other.one_line))
    assert codes(judge(site, text)) == {Code.ENDORSER_NOT_ACCEPTED}
    site.write_policy(endorsers=[{'dn': ALICE, 'ca': other.one_line}])
    assert judge(site, text).allowed


def test_a_source_that_cannot_decide_is_a_refusal(site, monkeypatch):
    monkeypatch.setattr(sources.Lists, 'find', lambda *unused: None)
    assert codes(judge(site)) == {Code.INTERNAL_ERROR}


def test_projects_of_an_endorser(site):
    site.write_policy(endorsers=[
        {'dn': ALICE, 'ca': CA, 'projects': ['atlas']}])
    text = site.endorse(DATA)
    assert judge(site, text).allowed
    assert codes(judge(site, text, projects=frozenset({'cms'}))) == {
        Code.ENDORSER_NOT_ACCEPTED}


def test_altered_images(site):
    text = site.endorse(DATA)
    verdict = judge(site, text, altered_by='image_conversion')
    assert codes(verdict) == {Code.CHECKSUM_MISMATCH}
    site.write_policy(altered_images='allow')
    assert judge(site, text, altered_by='image_conversion').allowed


def test_a_record_of_ours_takes_its_own_bytes(site):
    text = site.endorse(DATA)
    assert judge(site, text, meant=DIGEST).allowed
    verdict = judge(site, text, meant='cd' * 64)
    assert codes(verdict) == {Code.CHECKSUM_MISMATCH}
    assert 'The record is for data with the SHA-512 cdcd' in (
        verdict.explain())


def test_permissive_lets_pass_and_journals_what_it_would_refuse(site):
    site.write_policy(enforcement=[
        {'project': 'atlas', 'mode': 'permissive'}])
    verdict = judge(site)
    assert verdict.allowed
    assert not verdict.endorsed
    record = journal(site)[-1]
    assert (record['allowed'], record['endorsed']) == (True, False)
    assert record['reasons'][0]['code'] == 'not-endorsed'
    assert not judge(site, projects=frozenset({'cms'})).allowed


@pytest.mark.parametrize('break_it', [
    lambda site: (site.folder / 'policy.yaml').write_text('endorser: x'),
    lambda site: (site.folder / 'policy.yaml').unlink(),
    lambda site: (site.folder / 'subscriptions.yaml').write_text('['),
    lambda site: site.anchors.rename(site.folder / 'elsewhere'),
    lambda site: site.write_config(image_checks='nonsense,endorsement,'
                                   'checksum,expiry,revocation'),
    lambda site: site.write_config(endorsement_sources='nonsense'),
    lambda site: site.write_config(nonsense='1'),
    lambda site: site.config.unlink(),
])
def test_whatever_goes_wrong_is_a_refusal(site, break_it):
    text = site.endorse(DATA)
    assert judge(site, text).allowed
    break_it(site)
    verdict = judge(site, text)
    assert not verdict.allowed
    assert codes(verdict) == {Code.INTERNAL_ERROR}
    # The user does not learn the operator's paths.
    assert str(site.folder) not in verdict.explain()


def test_a_broken_policy_does_not_open_a_project_that_is_enforced(site):
    site.write_config(enforcement='permissive')
    rules = [{'project': 'atlas', 'mode': 'enforcing'}]
    site.write_policy(enforcement=rules)
    gate = Gate('glance-api')
    others = frozenset({'cms'})
    assert not judge(site, gate=gate).allowed
    assert judge(site, gate=gate, projects=others).allowed
    site.anchors.rename(site.folder / 'elsewhere')
    assert not judge(site, gate=gate).allowed
    assert judge(site, gate=gate, projects=others).allowed
    # One of the rules that cannot be read may say enforcing.
    (site.folder / 'policy.yaml').write_text('endorser: x')
    assert not judge(site, gate=gate).allowed
    assert not judge(site, gate=gate, projects=others).allowed
    (site.folder / 'policy.yaml').unlink()
    assert judge(site, gate=gate, projects=others).allowed


def test_a_mended_file_counts_at_once(site):
    text = site.endorse(DATA)
    gate = Gate('glance-api')
    (site.folder / 'policy.yaml').write_text('endorser: x')
    assert codes(judge(site, text, gate=gate)) == {Code.INTERNAL_ERROR}
    assert 'policy.yaml:1' in journal(site)[-1]['cause']
    site.write_policy()
    assert judge(site, text, gate=gate).allowed


def test_thejournal(site):
    judge(site, site.endorse(DATA))
    judge(site)
    allowed, refused = journal(site)
    assert allowed['allowed'] and not refused['allowed']
    assert allowed['event'] == 'verdict'
    assert allowed['route'] == 'upload'
    assert allowed['image'] == IMAGE
    assert allowed['sha512'] == DIGEST
    assert allowed['endorsement']['endorser_dn'] == ALICE
    assert allowed['service'] == 'glance-api'
    assert refused['reasons'] == [{
        'code': 'not-endorsed', 'message': refused['reasons'][0]['message'],
        'remedy': errors.REMEDIES[Code.NOT_ENDORSED]}]
    assert stat.S_IMODE(site.journal.stat().st_mode) == 0o640


def test_a_journal_that_cannot_be_written_changes_no_verdict(site, caplog):
    site.journal.parent.write_text('a file where the folder should be')
    assert judge(site, site.endorse(DATA)).allowed
    assert 'cannot be written' in caplog.text


def test_a_record_is_written_whole_or_not_at_all(site, monkeypatch, caplog):
    judge(site)
    before = site.journal.read_bytes()
    write = os.write
    monkeypatch.setattr(
        os, 'write', lambda descriptor, data: write(descriptor, data[:9]))
    judge(site)
    assert site.journal.read_bytes() == before
    assert 'cannot be written' in caplog.text
