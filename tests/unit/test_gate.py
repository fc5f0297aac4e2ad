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

"""The gate on real files: settings, anchors, messages, lists, journal."""

import dataclasses
import datetime
import hashlib
import json
import stat

import pytest

from hepix_vm import config
from hepix_vm import errors
from hepix_vm import sources
from hepix_vm.errors import Code
from hepix_vm.gate import Case
from hepix_vm.gate import Gate
from hepix_vm.trust.endorsement import check_succession
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.policy import Moment
from hepix_vm.trust.policy import Subject
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import BOB
from tests.testbed.site import CA
from tests.testbed.site import entry
from tests.testbed.site import Site

DATA = b'the endorsed bytes ' * 100
DIGEST = hashlib.sha512(DATA).hexdigest()
IMAGE = '7d6b0a3c-4a43-4e0a-9a55-1b1b7a0a0001'
BOB_ENDORSES = Endorser(BOB, CA)
LIST = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'


@pytest.fixture
def site(tmp_path, monkeypatch):
    site = Site(tmp_path)
    monkeypatch.setenv(config.ENVIRONMENT, str(site.config))
    return site


def judge(site, endorsement='', data=DATA, gate=None, **known):
    """Return the verdict on bytes: the early one, else the final one."""
    subject = Subject(at=pki.utcnow(), image_id=IMAGE,
                      projects=frozenset({'atlas'}), disk_format='raw',
                      container_format='bare', endorsement=endorsement)
    case = Case(gate or Gate('glance-api'),
                dataclasses.replace(subject, **known), route='upload')
    return case.early() or case.judge(
        hashlib.sha512(data).hexdigest(), len(data))


def codes(verdict):
    return set(verdict.codes)


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


HOUR = datetime.timedelta(hours=1)


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


def test_an_expired_image_of_a_valid_list(site):
    image = entry(DATA, expires=(pki.utcnow() - HOUR).replace(microsecond=0))
    verdict = judge(site, _inline(site, site.image_list(image)))
    assert codes(verdict) == {Code.IMAGE_EXPIRED}


def test_an_override_lets_an_expired_image_pass(site):
    image = entry(DATA, expires=(pki.utcnow() - HOUR).replace(microsecond=0))
    text = _inline(site, site.image_list(image))
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


def test_a_list_that_names_another_endorser(site):
    verdict = judge(site, site.endorse(DATA, signer=site.bob))
    assert Code.ENDORSER_MISMATCH in codes(verdict)


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


@pytest.mark.parametrize('text', [
    'no base64 at all!', 'aGVsbG8=', '{"hv:imagelist": {}}', 'A' * 50000])
def test_what_is_no_endorsement(site, text):
    verdict = judge(site, text)
    assert codes(verdict) <= {Code.MALFORMED, Code.UNSIGNED, Code.TOO_LARGE}
    assert not verdict.allowed


@pytest.mark.parametrize('number', [0, 2])
def test_inline_means_one_image(site, number):
    images = [entry(DATA) for _ in range(number)]
    verdict = judge(site, _inline(site, site.image_list(*images)))
    assert codes(verdict) == {Code.MALFORMED}


def test_a_listed_image_needs_no_property(site):
    site.accept(site.image_list(entry(b'other'), entry(DATA)))
    verdict = judge(site)
    assert verdict.allowed, verdict.explain()
    assert verdict.endorsement.source == 'lists'
    assert codes(judge(site, data=b'x')) == {Code.NOT_ENDORSED}


def test_a_list_that_is_not_subscribed_endorses_nothing(site):
    site.accept(site.image_list(entry(DATA)))
    site.write_subscriptions([])
    assert codes(judge(site)) == {Code.NOT_ENDORSED}


def test_a_list_of_another_endorser_than_pinned(site):
    image_list = site.image_list(entry(DATA), endorser=BOB_ENDORSES)
    site.accept(image_list, site.bob)
    assert judge(site).allowed
    site.write_subscriptions([{
        'uuid': image_list.identifier,
        'endorsers': [{'dn': ALICE, 'ca': CA}]}])
    assert codes(judge(site)) == {Code.NOT_ENDORSED}


def test_a_list_under_another_name_than_its_own(site):
    image_list = site.image_list(entry(DATA))
    site.accept(image_list)
    lists = site.state / 'lists'
    (lists / f'{image_list.identifier}.smime').rename(
        lists / f'{LIST}.smime')
    site.write_subscriptions([{
        'uuid': LIST, 'endorsers': [{'dn': ALICE, 'ca': CA}]}])
    assert codes(judge(site)) == {Code.NOT_ENDORSED}


def test_an_image_that_waits_for_approval_holds_bytes_but_does_not_run(site):
    image_list = site.image_list(entry(DATA))
    site.accept(image_list)
    site.write_subscriptions([{
        'uuid': image_list.identifier, 'approve': 'by-operator',
        'endorsers': [{'dn': ALICE, 'ca': CA}]}])
    verdict = judge(site)
    assert verdict.allowed
    assert not verdict.endorsement.approved
    assert codes(judge(site, moment=Moment.RUN)) == {Code.NOT_APPROVED}


def test_inline_as_a_version_of_a_subscribed_list(site):
    ours, other = entry(DATA), entry(b'other')
    accepted = site.image_list(ours, identifier=LIST, version='2.0')
    site.accept(accepted)

    def inline(image, version):
        return codes(judge(site, _inline(site, site.image_list(
            image, identifier=LIST, version=version))))

    assert inline(ours, '2.0') == set()
    assert inline(ours, '2.1') == set()
    assert inline(ours, '10.0') == set()
    other_bytes = dataclasses.replace(other, identifier=ours.identifier)
    site.accept(dataclasses.replace(accepted, images=(other_bytes,)))
    assert inline(ours, '2.0') == {Code.LIST_ROLLBACK}
    site.accept(accepted)
    assert inline(ours, '1.9') == {Code.LIST_ROLLBACK}
    site.accept(dataclasses.replace(accepted, images=(other,)))
    assert inline(ours, '2.0') == {Code.LIST_ROLLBACK}
    assert inline(ours, '1.9') == {Code.LIST_ROLLBACK, Code.IMAGE_REVOKED}


def test_inline_with_a_subscribed_list_by_another_endorser(site):
    site.write_policy(endorsers=[
        {'dn': ALICE, 'ca': CA},
        {'dn': BOB, 'ca': CA}])
    site.accept(site.image_list(entry(b'other'), identifier=LIST))
    text = site.endorse(DATA, signer=site.bob, endorser=BOB_ENDORSES,
                        identifier=LIST, version='2')
    assert codes(judge(site, text)) == {Code.ENDORSER_NOT_ACCEPTED}


def test_an_image_identifier_that_another_list_holds(site):
    listed = entry(b'other')
    site.accept(site.image_list(listed, identifier=LIST))
    image = dataclasses.replace(entry(DATA), identifier=listed.identifier)
    verdict = judge(site, _inline(site, site.image_list(image)))
    assert codes(verdict) == {Code.UUID_CONFLICT}


def test_a_stale_list_admits_within_grace(site):
    site.accept(site.image_list(entry(DATA)))
    now = pki.utcnow()
    gate = Gate('glance-api')
    site.write_anchors(this_update=now - 100 * HOUR,
                       next_update=now - 71 * HOUR)
    assert judge(site, gate=gate).allowed
    # What comes with an image is not a list that was accepted before.
    assert Code.CRL_EXPIRED in codes(judge(site, site.endorse(DATA)))
    gate.now = lambda: now + 2 * HOUR
    assert codes(judge(site, gate=gate)) == {Code.CRL_EXPIRED}


def test_an_endorser_of_the_same_name_with_another_ca(site):
    other = pki.Authority.create('/C=EU/O=Other Grid/CN=Other CA')
    pki.write_folder(site.anchors, [site.authority, other])
    namesake = other.issue(ALICE)
    text = site.endorse(DATA, signer=namesake,
                        endorser=Endorser(ALICE, other.one_line))
    assert codes(judge(site, text)) == {Code.ENDORSER_NOT_ACCEPTED}
    site.write_policy(endorsers=[{'dn': ALICE, 'ca': other.one_line}])
    assert judge(site, text).allowed


def test_a_listed_image_that_is_blocked_by_its_digest(site):
    site.accept(site.image_list(entry(DATA)))
    assert judge(site).allowed
    site.write_policy(blocked=[{'sha512': DIGEST, 'reason': 'broken'}])
    assert codes(judge(site)) == {Code.IMAGE_BLOCKED}


def test_of_two_lists_with_one_image_the_first_holds_it(site):
    image = entry(DATA)
    first = site.image_list(dataclasses.replace(entry(b'other'),
                            identifier=image.identifier))
    second = site.image_list(image)
    for image_list in (first, second):
        site.accept(image_list)

    def subscribe(*lists):
        site.write_subscriptions([
            {'uuid': each.identifier, 'endorsers': [{'dn': ALICE, 'ca': CA}]}
            for each in lists])

    subscribe(first, second)
    assert codes(judge(site)) == {Code.UUID_CONFLICT}
    subscribe(second, first)
    assert judge(site).allowed


def test_succession():
    old = Site.image_list(version='1.9')
    assert check_succession(old, dataclasses.replace(
        old, version='1.10')) == ()
    assert check_succession(old, old) == ()
    lower, = check_succession(old, dataclasses.replace(old, version='1.8'))
    assert lower.code is Code.LIST_ROLLBACK
    other, = check_succession(old, Site.image_list(version='2.0'))
    assert other.code is Code.UUID_CONFLICT


def test_grace_is_not_for_what_was_revoked(site):
    site.accept(site.image_list(entry(DATA)))
    site.write_anchors(revoked=[site.alice])
    assert codes(judge(site)) == {Code.SIGNER_REVOKED}


def test_inline_images_of_a_list_wait_for_approval_as_well(site):
    image_list = site.image_list(entry(DATA))
    site.write_subscriptions([{
        'uuid': image_list.identifier, 'approve': 'by-operator',
        'endorsers': [{'dn': ALICE, 'ca': CA}]}])
    verdict = judge(site, _inline(site, image_list))
    assert verdict.allowed
    assert not verdict.endorsement.approved


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


def test_permissive_lets_pass_and_journals_what_it_would_refuse(site):
    site.write_policy(enforcement=[
        {'project': 'atlas', 'mode': 'permissive'}])
    verdict = judge(site)
    assert verdict.allowed
    assert not verdict.endorsed
    record = _journal(site)[-1]
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


def test_a_mended_file_counts_at_once(site):
    text = site.endorse(DATA)
    gate = Gate('glance-api')
    (site.folder / 'policy.yaml').write_text('endorser: x')
    assert codes(judge(site, text, gate=gate)) == {Code.INTERNAL_ERROR}
    assert 'policy.yaml:1' in _journal(site)[-1]['cause']
    site.write_policy()
    assert judge(site, text, gate=gate).allowed


def test_the_journal(site):
    judge(site, site.endorse(DATA))
    judge(site)
    allowed, refused = _journal(site)
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


def _journal(site):
    return [json.loads(line) for line in
            site.journal.read_text().splitlines()]


def _inline(site, image_list):
    return site.encode(site.sign(image_list, site.alice))
