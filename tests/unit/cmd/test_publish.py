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

"""The command that publishes: what it asks, refuses, and leaves behind."""

import base64
import json
import os
import pty
import select
import shutil
import subprocess

from cryptography.hazmat.primitives import serialization
import pytest

from hepix_vm.exchange.outlet import Archive
from hepix_vm.trust import endorsement
from hepix_vm.trust.endorsement import TrustSettings
from tests.testbed.client import LIMIT
from tests.testbed import pki
from tests.testbed.publishing import declared
from tests.testbed.publishing import https
from tests.testbed.publishing import IMAGE
from tests.testbed.publishing import LIST
from tests.testbed.publishing import Publisher
from tests.testbed.site import ALICE

SECRET = 'c0rrect-h0rse'
DATA = b'the bytes of an image'


@pytest.fixture
def alice(site, tmp_path):
    publisher = Publisher(site, tmp_path / 'alice')
    publisher.write(declared(DATA))
    return publisher


def published(path):
    return endorsement.open_list(
        path.read_bytes(), TrustSettings()).image_list


def archive(alice):
    return alice.site.state / 'published' / LIST


def untouched(alice, before=None):
    """Return whether nothing was published."""
    kept = sorted(archive(alice).glob('*')) if archive(
        alice).exists() else []
    now = alice.output.read_bytes() if alice.output.exists() else None
    return now == before and len(kept) == (before is not None)


def test_versions_follow_one_another(alice):
    said = alice.publish()
    assert f'+ {IMAGE} Debian 12 1.10' in said
    assert f'Published version 1 of {LIST} at {alice.output}' in said
    first = alice.output.read_bytes()
    alice.write(declared(b'other', version='1.11'))
    assert f'~ {IMAGE} Debian 12 1.11' in alice.publish()
    new = published(alice.output)
    assert (new.version, new.images[0].version) == ('2', '1.11')
    assert sorted(path.name for path in archive(alice).iterdir()) == [
        '1.smime', '2.smime']
    assert (archive(alice) / '1.smime').read_bytes() == first
    record = json.loads((
        alice.site.state / 'journal' / 'hepix-vm-sync.jsonl'
    ).read_text().splitlines()[-1])
    assert record['event'] == 'publish'
    assert (record['list'], record['list_version'], record['images']) == (
        LIST, '2', 1)
    assert (record['endorser_dn'], record['place']) == (
        ALICE, str(alice.output))


def test_a_version_is_never_given_twice(alice):
    """Also where the list itself was lost, or put elsewhere."""
    alice.publish('--list-version', '3.1')
    alice.output.unlink()
    assert 'version 3.1 -> 3.2' in alice.publish()
    shutil.rmtree(archive(alice))
    assert 'version 3.2 -> 3.3' in alice.publish()
    before = alice.output.read_bytes()
    done = alice.run(*alice.signer, '--yes', '--list-version', '3.3')
    assert (done.returncode, untouched(alice, before)) == (1, True)
    assert '[list-rollback]' in done.stderr


def test_an_older_version_at_its_place(alice):
    """Subscribers have the newer one, whatever a server goes back to."""
    alice.publish()
    before = alice.output.read_bytes()
    alice.write(declared(b'other'))
    alice.publish()
    alice.output.write_bytes(before)
    said = alice.publish()
    assert 'version 2 -> 3' in said
    assert 'no image changes' in said


def test_a_dry_run_shows_and_does_nothing(alice):
    done = alice.run(*alice.signer, '--dry-run')
    assert done.returncode == 0, done.stderr
    assert f'+ {IMAGE}' in done.stdout
    assert untouched(alice)
    done = alice.run(*alice.signer, '--dry-run', to=(
        '--output', str(alice.folder / 'none' / 'x')))
    assert (done.returncode, 'No such file' in done.stderr) == (3, True)


def test_two_do_not_publish_a_list_at_once(alice):
    alice.publish()
    before = alice.output.read_bytes()
    with Archive(str(archive(alice).parent), LIST).alone():
        done = alice.run(*alice.signer, '--yes')
        shown = alice.run(*alice.signer, '--dry-run')
    assert (done.returncode, untouched(alice, before)) == (2, True)
    assert 'Somebody else publishes this list' in done.stderr
    assert shown.returncode == 0


def test_a_list_is_decommissioned(alice):
    alice.publish()
    assert 'revoked at all subscribers' in alice.publish('--decommission')
    new = published(alice.output)
    assert (new.version, new.images) == ('2', ())


def test_when_it_ends(alice):
    """The day that is named still counts, as for an endorsement."""
    day = pki.utcnow().replace(hour=0, minute=0, second=0, microsecond=0)
    alice.publish('--expires', f'{day + pki.DAY:%Y-%m-%d}')
    assert published(alice.output).expires == day + 2 * pki.DAY
    for wrong in ('2001-01-01', 'soon'):
        done = alice.run(*alice.signer, '--yes', '--expires', wrong)
        assert done.returncode not in (0, 1)
    alice.write(declared(DATA), valid_days=400)
    assert 'WARNING: the certificate ends at' in alice.run(
        *alice.signer, '--dry-run').stderr


def expired_crl(alice):
    alice.site.write_anchors(next_update=pki.utcnow() - pki.DAY,
                             this_update=pki.utcnow() - 2 * pki.DAY)


def other_ca(alice):
    rogue = pki.Authority.create('/CN=Rogue').issue(ALICE)
    alice.certificate.write_bytes(rogue.pem)
    alice.key.write_bytes(rogue.key_pem)


def revoked(alice):
    alice.site.write_anchors(revoked=[alice.site.alice])


def expired(alice):
    old = alice.site.authority.issue(
        ALICE, not_after=pki.utcnow() - pki.DAY / 2)
    alice.certificate.write_bytes(old.pem)
    alice.key.write_bytes(old.key_pem)


def other_key(alice):
    alice.key.write_bytes(alice.site.bob.key_pem)


@pytest.mark.parametrize('change, code', [
    (expired_crl, 'crl-expired'), (other_ca, 'untrusted-ca'),
    (revoked, 'signer-revoked'), (expired, 'signer-expired'),
    (other_key, 'signature-invalid')])
def test_what_no_site_would_believe_is_not_published(alice, change, code):
    alice.publish()
    before = alice.output.read_bytes()
    change(alice)
    done = alice.run(*alice.signer, '--yes')
    assert (done.returncode, untouched(alice, before)) == (1, True)
    assert f'refused: [{code}]' in done.stderr


def test_a_ca_does_not_sign_lists(alice):
    authority = alice.site.authority
    alice.certificate.write_bytes(authority.pem)
    alice.key.write_bytes(authority.key_pem)
    done = alice.run(*alice.signer, '--yes')
    assert (done.returncode, untouched(alice)) == (1, True)
    assert 'refused: [untrusted-ca]' in done.stderr
    assert 'key usage has digitalSignature' in done.stderr
    assert 'operator' not in done.stderr


@pytest.mark.parametrize('change, code', [
    (expired, 'signer-expired'), (other_key, 'signature-invalid')])
def test_a_dry_run_tells_of_the_certificate_as_well(alice, change, code):
    change(alice)
    done = alice.run(*alice.signer, '--dry-run')
    assert (done.returncode, untouched(alice)) == (1, True)
    assert f'refused: [{code}]' in done.stderr


def no_list(alice):
    alice.output.write_text('precious')
    return 'What is there is no image list'


def another_list(alice):
    alice.write(declared(DATA), uuid=IMAGE)
    alice.publish()
    shutil.rmtree(alice.site.state / 'published')
    alice.write(declared(DATA))
    return 'There is another list'


def twice(alice):
    alice.write(declared(DATA), declared(b'x'))
    return 'is that of another image'


@pytest.mark.parametrize('make', [no_list, another_list, twice])
def test_what_is_in_the_way_is_not_overwritten(alice, make):
    what = make(alice)
    before = alice.output.exists() and alice.output.read_bytes()
    done = alice.run(*alice.signer, '--yes')
    assert (done.returncode, what in done.stderr) == (1, True), done.stderr
    assert (alice.output.exists() and alice.output.read_bytes()) == before
    assert not archive(alice).exists()


def test_an_archive_of_ones_own(alice, tmp_path):
    alice.publish('--archive', str(tmp_path / 'mine'))
    assert (tmp_path / 'mine' / LIST / '1.smime').exists()
    assert not archive(alice).exists()
    (tmp_path / 'file').touch()
    done = alice.run(*alice.signer, '--yes', '--archive',
                     str(tmp_path / 'file'))
    assert done.returncode > 1
    assert published(alice.output).version == '1'


def encrypt(alice):
    alice.key.write_bytes(alice.site.alice.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(SECRET.encode())))


def secret_file(tmp_path, mode=0o600):
    path = tmp_path / 'passphrase'
    path.touch(mode=0o600)
    path.write_text(f'{SECRET}\n')
    path.chmod(mode)
    return str(path)


def test_a_passphrase_from_a_file(alice, tmp_path):
    encrypt(alice)
    given = ('--passphrase-file', secret_file(tmp_path))
    assert SECRET not in alice.publish(*given)
    (tmp_path / 'passphrase').chmod(0o644)
    done = alice.run(*alice.signer, '--yes', *given)
    assert done.returncode > 1
    assert 'Others than its owner can read it' in done.stderr
    (tmp_path / 'passphrase').chmod(0o600)
    (tmp_path / 'passphrase').write_text(f'{SECRET}x')
    done = alice.run(*alice.signer, '--yes', *given)
    assert 'does not open it' in done.stderr
    assert 'Correct the passphrase file' in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_a_passphrase_from_a_descriptor(alice):
    encrypt(alice)
    read, write = os.pipe()
    os.write(write, SECRET.encode())
    os.close(write)
    done = alice.apart(*alice.signer, '--yes', '--passphrase-file',
                       f'/dev/fd/{read}', pass_fds=[read])
    os.close(read)
    assert done.returncode == 0, done.stderr


def test_without_a_terminal_nothing_is_asked(alice, tmp_path):
    assert 'Give --yes' in alice.run(*alice.signer).stderr
    encrypt(alice)
    # Nor is it read from somewhere else, perhaps to be seen by others.
    with open(secret_file(tmp_path), 'rb') as file:
        done = alice.apart(*alice.signer, '--yes', start_new_session=True,
                           stdin=file)
    assert 'no terminal at which to ask for the pass' in done.stderr
    assert untouched(alice)


def at_terminal(alice, *answers):
    """Publish at a terminal; return status and all that it showed."""
    terminal, theirs = pty.openpty()
    with subprocess.Popen(
            ['setsid', '--ctty', '--wait', *alice.command(*alice.signer)],
            stdin=theirs, stdout=theirs, stderr=theirs,
            env=alice.environment) as process:
        os.close(theirs)
        shown = b''
        for prompt, answer in (*answers, (None, b'')):
            while prompt is None or not shown.endswith(prompt):
                assert select.select([terminal], [], [], LIMIT)[0], shown
                try:
                    shown += os.read(terminal, 1000)
                except OSError:  # it ended
                    assert prompt is None, shown
                    break
            if prompt:
                os.write(terminal, answer + b'\n')
        os.close(terminal)
    return process.returncode, shown.decode()


@pytest.mark.parametrize('answer, status', [
    (b'y', 0), (b'', 1), (b'n', 1), (b'what', 1)])
def test_at_a_terminal_it_asks(alice, answer, status):
    encrypt(alice)
    done, shown = at_terminal(
        alice, (b'.key: ', SECRET.encode()), (b'[y/N] ', answer))
    assert done == status, shown
    assert f'+ {IMAGE} Debian 12' in shown
    # It is not shown as it is typed.
    assert SECRET not in shown
    assert alice.output.exists() is (status == 0)


def test_the_command_line_has_no_secret(alice):
    assert '--passphrase-file' in alice.run('--help').stdout
    for done in (alice.run(*alice.signer, '--passphrase', SECRET),
                 alice.run(*alice.signer, '--token', SECRET)):
        assert done.returncode == 3
    done = alice.run(to=('--output', 'x', '--put', 'https://x/'))
    assert 'not allowed with' in done.stderr


def test_pkcs12(alice, tmp_path):
    path = tmp_path / 'alice.p12'
    path.touch(mode=0o600)
    subprocess.run(
        ['openssl', 'pkcs12', '-export', '-in', alice.certificate, '-inkey',
         alice.key, '-out', path, '-passout', f'pass:{SECRET}'], check=True,
        timeout=60)
    done = alice.run('--pkcs12', str(path), '--yes', '--passphrase-file',
                     secret_file(tmp_path))
    assert done.returncode == 0, done.stderr
    assert published(alice.output).endorser.dn == ALICE


def test_a_list_is_put_to_a_web_server(alice, tmp_path):
    token = tmp_path / 'token'
    token.touch(mode=0o600)
    token.write_text('alice:t0ken\n')
    with https(tmp_path) as server:
        to = ('--put', f'{server.url}/image.list?sig=s1g', '--tls-ca',
              server.ca, '--token-file', str(token))
        said = alice.publish(to=to)
        assert 'version none -> 1' in said
        assert f'at {server.url}/image.list; kept in' in said
        assert 'version 1 -> 2' in alice.publish(to=to)
        basic = base64.b64encode(b'alice:t0ken').decode()
        assert {secret for _, _, secret in server.asked} == {
            f'Basic {basic}'}
        message = server.contents['/image.list?sig=s1g']
        server.status['PUT'] = 307
        done = alice.run(*alice.signer, '--yes', to=to)
        assert done.returncode > 1
        assert 'redirects (307) to PUT' in done.stderr
        # It was sent, and somebody may have seen it.
        assert (archive(alice) / '3.smime').exists()
        token.chmod(0o644)
        done = alice.run(*alice.signer, '--yes', to=to)
        assert 'Others than its owner' in done.stderr
    for text in (done.stderr, said):
        assert 's1g' not in text
        assert 't0ken' not in text
    assert message == (archive(alice) / '2.smime').read_bytes()


def test_a_file_that_is_not_right(alice):
    alice.write(declared(DATA), titel='x')
    done = alice.run(*alice.signer, '--yes')
    assert f'{alice.file}:' in done.stderr
    assert 'The key titel is unknown' in done.stderr
    alice.file.unlink()
    done = alice.run(*alice.signer, '--yes')
    assert 'the YAML file that says what is published.\n' in done.stderr
    assert done.returncode > 1
