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

"""An endorser at home: ``openstack image endorsement`` on files."""

import hashlib
import os
import subprocess

import pytest

from hepix_vm.trust import endorsement
from hepix_vm.trust.endorsement import TrustSettings
from tests.testbed.openstack import OpenStack
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import BOB
from tests.testbed.site import CA

# No text, and no CMS structure either.
DATA = b'\xff' + os.urandom(2999)
LIST = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'
IMAGE = '2b9c0a7e-51d5-4a55-8f6e-3d0f0c1e9b42'
SAID = {
    '--title': 'Debian 12', '--distro': 'debian', '--distro-version': '12',
    '--architecture': 'x86_64', '--hypervisor': 'kvm',
    '--image-version': '1.10', '--disk-format': 'raw', '--expires': '+90d'}


def options(said):
    return [word for name, value in said.items() for word in (name, value)]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Alice's home, where her certificate and her image are."""
    monkeypatch.setenv('HOME', str(tmp_path))
    folder = tmp_path / '.globus'
    folder.mkdir()
    alice = pki.Authority.create(CA).issue(ALICE, extensions=[(
        pki.x509.SubjectAlternativeName(
            [pki.x509.RFC822Name('alice@example.org')]), False)])
    certificate, key = alice.write(folder, 'user')
    certificate.rename(folder / 'usercert.pem')
    key.rename(folder / 'userkey.pem')
    (tmp_path / 'my image.raw').write_bytes(DATA)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def create(*more, file='my image.raw', **said):
    changed = {**SAID, **{f'--{name.replace("_", "-")}': value
                          for name, value in said.items()}}
    return OpenStack(None)(
        'image endorsement create', file, *options(
            {name: value for name, value in changed.items() if value}),
        *more)


def signed(path):
    return endorsement.open_list(path.read_bytes(), TrustSettings())


def refused(home, done, *words):
    """Look whether it was refused in one line, and nothing is left."""
    assert done.status == 1, done.err
    assert 'Traceback' not in done.err
    line = done.err.strip().splitlines()[-1]
    assert all(word in line for word in words), done.err
    assert not list(home.glob('*.endorsement'))


def test_an_image_is_endorsed(home):
    done = create('-f', 'json')
    assert done.status == 0, done.err
    assert 'WARNING' not in done.err
    found = signed(home / 'my image.raw.endorsement')
    made = found.image_list
    entry, = made.images
    assert done.json == {
        'output': 'my image.raw.endorsement', 'list_id': made.identifier,
        'list_version': '1', 'endorsed_image_id': entry.identifier,
        'title': 'Debian 12', 'sha512': hashlib.sha512(DATA).hexdigest(),
        'size': 3000, 'expires': made.expires.strftime('%Y-%m-%dT%H:%M:%SZ'),
        'endorser_dn': ALICE, 'endorser_ca': CA}
    assert found.signed_by(ALICE, CA)
    assert (made.endorser.dn, made.endorser.ca, made.endorser.email) == (
        ALICE, CA, 'alice@example.org')
    assert abs(made.expires - pki.utcnow() - 90 * pki.DAY) < pki.DAY / 24
    assert entry.expires == made.expires
    assert (entry.arch, entry.osname, entry.osversion, entry.hypervisor,
            entry.version, entry.format, entry.uri) == (
        'x86_64', 'debian', '12', 'kvm', '1.10', 'RAW',
        'file:///my%20image.raw')


def test_what_openssl_says_of_it(home):
    """It is what the guide makes by hand."""
    assert create().status == 0
    done = subprocess.run(
        ['openssl', 'smime', '-verify', '-noverify', '-in',
         'my image.raw.endorsement'], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"dc:title": "Debian 12"' in done.stdout


def test_all_that_can_be_said(home):
    done = create(
        '--built-with', 'packer=1.11', '--built-with', 'ansible=10=x',
        vo='vo.example.org', uri='https://images.example.org/x.raw',
        kind='vo-environment', produced='2026-01-02', list_id=LIST.upper(),
        image_id=IMAGE, expires='2126-03-31', output='other')
    assert done.status == 0, done.err
    assert 'WARNING: the certificate ends at' in done.err
    made = signed(home / 'other').image_list
    entry, = made.images
    assert (made.identifier, entry.identifier, made.vo, entry.uri) == (
        LIST, IMAGE, 'vo.example.org', 'https://images.example.org/x.raw')
    assert made.expires.isoformat() == '2126-04-01T00:00:00+00:00'
    assert entry.extra['hepix:kind'] == 'vo-environment'
    assert entry.extra['hepix:built_with'] == {
        'packer': '1.11', 'ansible': '10=x'}
    assert entry.extra['dc:date:created'] == '2026-01-02T00:00:00Z'
    # Others who share the list need not know of this version.
    assert made.version.startswith(made.created.strftime('%Y%m%d.'))


def test_each_endorsement_is_a_list_of_its_own(home):
    create(output='first')
    create(output='second')
    first, second = (signed(home / name).image_list
                     for name in ('first', 'second'))
    assert first.identifier != second.identifier
    assert first.images[0].identifier != second.images[0].identifier


def test_what_is_there_is_kept(home):
    assert create().status == 0
    path = home / 'my image.raw.endorsement'
    before = path.read_bytes()
    done = create()
    assert done.status == 1
    assert 'It is there already, and is not overwritten. It can' in done.err
    assert 'hepix_endorsement="$(cat \'my image.raw.endorsement\')"' in (
        done.err)
    assert path.read_bytes() == before
    done = create(output='none/x')
    assert 'No file can be made there' in done.err


@pytest.mark.parametrize(('changes', 'word'), [
    ({'expires': '2001-01-01'}, '--expires lies in the past'),
    ({'produced': '+2d'}, '--produced lies in the future'),
    ({'title': 'a\x1b[2J'}, '--title must be one line'),
    ({'list_id': 'mine'}, '--list-id must be a UUID'),
    ({'image_id': '1'}, '--image-id must be a UUID'),
    ({'uri': 'https://me:secret@h/x'}, 'has no password'),
    ({'uri': 'x.raw'}, '--uri is no address'),
    ({'vo': 'a\nb'}, 'ad:vo'),
    ({'title': 'x' * 60000}, '[too-large]'),
    ({'disk_format': 'qcow2'}, 'said to be qcow2, but is raw'),
    ({'file': 'none'}, 'none: It cannot be read: No such file'),
    ({'file': '.'}, 'It is no file'),
    ({'file': 'empty'}, 'It has no data')])
def test_what_is_not_endorsed(home, changes, word):
    (home / 'empty').touch()
    refused(home, create(**changes), word)


def test_a_passphrase_is_no_word_of_the_command(home):
    """As what looks like a short form of --passphrase-file would be."""
    for done in (create('--passphrase', 's3cret'),
                 renew('--passphrase', 's3cret')):
        assert (done.status, done.out) == (2, '')
        assert 'unrecognized arguments: --passphrase' in done.err


def renew(*more, file='my image.raw.endorsement', expires='+200d'):
    return OpenStack(None)('image endorsement renew', file, '--expires',
                           expires, '-f', 'json', *more)


def test_an_endorsement_is_renewed_in_its_place(home):
    create('--kind', 'base')
    path = home / 'my image.raw.endorsement'
    old = signed(path).image_list
    done = renew()
    assert done.status == 0, done.err
    new = signed(path).image_list
    assert (new.identifier, new.version) == (old.identifier, '2')
    assert abs(new.expires - pki.utcnow() - 200 * pki.DAY) < pki.DAY / 24
    entry, = new.images
    assert entry.extra == old.images[0].extra
    assert (entry.identifier, entry.sha512, entry.expires) == (
        old.images[0].identifier, old.images[0].sha512, new.expires)
    assert done.json == {
        'output': 'my image.raw.endorsement', 'list_id': old.identifier,
        'list_version': '2', 'endorsed_image_id': entry.identifier,
        'title': 'Debian 12', 'sha512': entry.sha512, 'size': 3000,
        'expires': new.expires.strftime('%Y-%m-%dT%H:%M:%SZ'),
        'endorser_dn': ALICE, 'endorser_ca': CA}


def test_by_the_name_of_its_image(home):
    create()
    done = renew(file='my image.raw')
    assert done.status == 0, done.err
    assert done.json['output'] == 'my image.raw.endorsement'
    assert signed(home / 'my image.raw.endorsement'
                  ).image_list.version == '2'
    assert (home / 'my image.raw').read_bytes() == DATA


def test_or_elsewhere(home):
    create()
    path = home / 'my image.raw.endorsement'
    before = path.read_bytes()
    assert renew('--output', 'new').status == 0
    assert signed(home / 'new').image_list.version == '2'
    assert path.read_bytes() == before
    done = renew('--output', 'new')
    assert 'It is there already' in done.err


def test_a_good_one_is_not_lost(home):
    """By who signs it anew, or for a shorter time; there is --output."""
    create()
    path = home / 'my image.raw.endorsement'
    before = path.read_bytes()
    bob = pki.Authority.create(CA).issue(BOB)
    bob.write(home, 'bob')
    other = ('--certificate', 'bob.pem', '--key', 'bob.key')
    for done, words in (
            (renew(*other), f'signed by {ALICE}, and would be by {BOB};'),
            (renew(expires='+1d'), 'It counts until ')):
        assert (done.status, done.out) == (1, '')
        assert words in done.err
        assert 'it is left as it is. Write the new one elsewhere with ' \
            '--output.' in done.err
        assert path.read_bytes() == before
    done = renew(*other, '--output', 'new')
    assert done.status == 0
    assert f'WARNING: it was endorsed by {ALICE};' in done.err
    assert 'WARNING' not in renew('--output', 'ours').err
    assert signed(home / 'new').signed_by(BOB, CA)
    assert renew('--output', 'newer', expires='+1d').status == 0
    assert path.read_bytes() == before


def test_what_is_not_renewed(home):
    create()
    path = home / 'my image.raw.endorsement'
    before = path.read_bytes()
    assert '--expires lies in the past' in renew(expires='2001-01-01').err
    (home / '.globus' / 'userkey.pem').unlink()
    assert 'userkey.pem: It cannot be read' in renew().err
    assert path.read_bytes() == before
    for data, word in ((DATA, 'neither a signed message nor base64'),
                       (before.replace(b'Debian', b'Debias'), '[')):
        path.write_bytes(data)
        done = renew()
        assert (done.status, word in done.err) == (1, True)
        assert path.read_bytes() == data
