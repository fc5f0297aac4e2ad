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

"""``openstack image endorsement verify``, of files and with no cloud."""

import base64
import os

import pytest

from tests.testbed.openstack import OpenStack
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.testbed.site import entry
from tests.testbed.site import Site

# No text, and no CMS structure either.
DATA = b'\xff' + os.urandom(2999)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    return Site(tmp_path_factory.mktemp('verify') / 'site')


@pytest.fixture
def site(made):
    """A site as it was made."""
    made.write_policy()
    made.write_anchors()
    made.write_subscriptions([])
    made.write_config()
    return made


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'image.raw'
    path.write_bytes(DATA)
    return path


def endorse(site, image, signer=None, **changes):
    """Write an endorsement beside an image."""
    made = site.image_list(entry(DATA), **changes)
    path = image.with_name('image.raw.endorsement')
    path.write_bytes(site.sign(made, signer or site.alice))
    return made


def verify(site, *arguments):
    done = OpenStack(site)('image endorsement verify', *map(str, arguments),
                           '-f', 'json')
    assert 'Traceback' not in done.err
    return done


def codes(done):
    return [each['code'] for each in done.json['reasons']]


def test_what_is_endorsed(site, image):
    made = endorse(site, image)
    done = verify(site, image)
    assert done.status == 0, done.err
    bytes_ = entry(DATA)
    assert done.json == {
        'allowed': True, 'state': 'endorsed', 'mode': 'enforcing',
        'reasons': [], 'title': 'Testbed image', 'list_id': made.identifier,
        'list_version': '1', 'endorsed_image_id': made.images[0].identifier,
        'endorser_dn': ALICE, 'endorser_ca': CA,
        'expires': made.expires.strftime('%Y-%m-%dT%H:%M:%SZ'),
        'sha512': bytes_.sha512, 'size': 3000, 'file_format': 'raw',
        'endorsement': f'{image}.endorsement'}
    assert 'blocked or revoked is not known for a file' in done.err


def test_in_a_table_reasons_can_be_read(site, image):
    endorse(site, image, site.bob)
    done = OpenStack(site)('image endorsement verify', str(image),
                           '--max-width', '0')
    assert done.status == 1
    assert ('[endorser-mismatch] The list says' in done.out
            and 'sign again.' in done.out)


@pytest.mark.parametrize(('form', 'out'), [
    ('csv', '"allowed","state","size"\nTrue,"endorsed",3000\n'),
    ('value', 'True\nendorsed\n3000\n'),
    ('yaml', 'allowed: true\nstate: endorsed\nsize: 3000\n'),
    ('shell', 'allowed="True"\nstate="endorsed"\nsize="3000"\n'),
    ('json', '{\n  "allowed": true,\n  "state": "endorsed",\n  "size": 3000'
     '\n}\n')])
def test_forms_of_output(site, image, form, out):
    endorse(site, image)
    done = OpenStack(site)('image endorsement verify', str(image), *(
        word for name in ('allowed', 'state', 'size')
        for word in ('-c', name)), '-f', form)
    assert (done.status, done.out) == (0, out)


def test_all_reasons_are_said(site, image):
    endorse(site, image, hypervisor='xen',
            expires=pki.utcnow() - pki.DAY / 48)
    image.write_bytes(b'other')
    done = verify(site, image)
    assert done.status == 1
    assert codes(done) == [
        'size-mismatch', 'checksum-mismatch', 'list-expired',
        'image-expired', 'hypervisor-unsupported']
    assert all(each['message'] and each['remedy']
               for each in done.json['reasons'])
    assert (done.json['allowed'], done.json['state']) == (False, 'expired')


@pytest.mark.parametrize(('at', 'status', 'reasons'), [
    # The CRL ends after 30 days.
    ('+1h', 0, []), ('+59d', 0, []),
    ('+61d', 1, ['list-expired', 'image-expired']),
    ('-2h', 1, ['list-not-yet-valid'])])
def test_at_another_time(site, image, at, status, reasons):
    endorse(site, image, expires=pki.utcnow() + 60 * pki.DAY)
    done = verify(site, image, f'--at={at}')
    assert (done.status, codes(done)) == (status, reasons)
    # Whoever relies on it has to know.
    assert ('A CRL ends before then' in done.err) is (at in ('+59d', '+61d'))


def test_a_crl_that_is_late_now_is_so_then(site, image):
    endorse(site, image)
    site.write_anchors(next_update=pki.utcnow() - pki.DAY / 24)
    for at in ('+0h', '+1d'):
        done = verify(site, image, f'--at={at}')
        assert (done.status, codes(done)) == (1, ['crl-expired'])


@pytest.mark.parametrize('form', [
    lambda message: message, base64.b64encode,
    lambda message: message.rstrip(b'\n')])
def test_forms_of_an_endorsement(site, image, tmp_path, form):
    path = tmp_path / 'signed'
    path.write_bytes(form(site.sign(
        site.image_list(entry(DATA)), site.alice)))
    assert verify(site, image).status == 1
    done = verify(site, image, '--endorsement', path)
    assert (done.status, done.json['endorsement']) == (0, str(path))
    # What is named and holds nothing is no leave to ask the lists.
    (tmp_path / 'empty').touch()
    for wrong in (image, tmp_path / 'none', tmp_path / 'empty'):
        done = OpenStack(site)('image endorsement verify', str(image),
                               '--endorsement', str(wrong))
        assert (done.status, done.out) == (1, '')


def test_one_that_is_named_comes_before_the_one_beside(
        site, image, tmp_path):
    endorse(site, image)
    (tmp_path / 'other').write_bytes(b'nothing')
    done = verify(site, image, '--endorsement', tmp_path / 'other')
    assert (done.status, codes(done)) == (1, ['malformed'])


def test_the_lists_of_the_site(site, image):
    done = verify(site, image)
    assert (done.status, codes(done), done.json['state']) == (
        1, ['not-endorsed'], 'unknown')
    assert done.json['endorsement'] == 'accepted lists'
    assert 'No endorsement lies beside the file: the lists' in done.err
    made = site.image_list(entry(DATA), entry(b'other'))
    site.accept(made)
    done = verify(site, image)
    assert (done.status, done.json['list_id']) == (0, made.identifier)


def test_an_endorser_at_home(site, image, tmp_path):
    """Nobody is accepted where no site is; he can be given its files."""
    endorse(site, image)
    home = Site(tmp_path / 'home')
    (home.folder / 'policy.yaml').unlink()
    done = verify(home, image)
    assert done.status == 1
    # Its CAs are there, and are not those of the endorser.
    assert codes(done) == ['untrusted-ca', 'endorser-not-accepted']
    assert f'{home.folder / "policy.yaml"} is not on this machine' in done.err
    done = verify(home, image, '--policy', site.folder / 'policy.yaml',
                  '--trust-anchors', site.anchors)
    assert (done.status, codes(done)) == (0, [])
    assert 'is not on this machine' not in done.err
    done = OpenStack(home)('image endorsement verify', str(image),
                           '--policy', str(tmp_path / 'none'))
    assert (done.status, done.out) == (1, '')
    assert 'There is no such file' in done.err


def test_settings_that_are_not_there(image):
    """An endorser has neither hepix-vm.conf nor /etc/hepix-vm."""
    done = verify(None, image)
    assert (done.status, codes(done)) == (1, ['not-endorsed'])
    assert '/etc/hepix-vm/policy.yaml is not on this machine' in done.err


def test_neither_a_file_nor_a_cloud(site, image):
    done = OpenStack(site)('image endorsement verify', 'typo')
    assert (done.status, done.out) == (1, '')
    assert done.err == (
        "There is no file 'typo', and no cloud to ask for an image of this "
        "name: Missing value auth-url required for auth plugin password. "
        "Correct the path, or name a cloud (--os-cloud).\n")


def test_who_is_accepted_for_a_project(site, image):
    endorse(site, image)
    site.write_policy(endorsers=[
        {'dn': ALICE, 'ca': CA, 'projects': ['atlas']}])
    assert verify(site, image).status == 1
    assert verify(site, image, '--project', 'cms').status == 1
    assert verify(site, image, '--project', 'atlas').status == 0


def test_a_site_that_only_looks(site, image):
    site.write_config(enforcement='permissive')
    done = verify(site, image)
    assert (done.status, done.json['allowed'], done.json['mode']) == (
        0, True, 'permissive')
    assert codes(done) == ['not-endorsed']


def test_other_bytes_than_it_says(site, image):
    """The gate does not look, but whoever endorses does."""
    endorse(site, image, format='QCOW2')
    done = verify(site, image)
    assert 'WARNING: the file was endorsed as qcow2, but is raw' in done.err
    for stated in ('raw.gz', 'OVA', 'something', 'AKI'):
        endorse(site, image, format=stated)
        assert 'WARNING' not in verify(site, image).err


def test_what_others_wrote_is_one_line(site, image):
    site.write_policy(blocked=[{
        'sha512': entry(DATA).sha512, 'reason': 'a\x1b[2J\nb'}])
    endorse(site, image)
    message = verify(site, image).json['reasons'][0]['message']
    assert message.endswith(': a [2J b.')
