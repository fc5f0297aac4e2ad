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

"""The part 05-hostcert.sh, run from a real drive, in a folder of its own."""

import pathlib
import subprocess

from cryptography.hazmat.primitives import serialization
from cryptography import x509
import pytest
import yaml

from tests.functional.hostcerts import DOMAIN
from tests.functional.hostcerts import Host

PART = pathlib.Path(__file__).parents[2] / 'etc' / 'hepix_vm' / 'context' / (
    '05-hostcert.sh')
SIGN = ('openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial '
        '-copy_extensions copy -days 20')


class Guest:
    """A guest whose /etc/grid-security is elsewhere."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.host = Host(folder)
        self.target = folder / 'etc' / 'grid-security'
        self.target.parent.mkdir()
        self.drives = folder / 'drives'
        self.drives.mkdir()
        part = self.host.parts / PART.name
        part.write_text(PART.read_text().replace(
            '/etc/grid-security\n', f'{self.target}\n'))
        part.chmod(0o755)
        path = self.host.command(SIGN)
        self.host.yaml.write_text(yaml.safe_dump({
            'rules': [{'match': {}, 'prolog': [PART.name]}],
            'hostcert': {'domain': DOMAIN, 'command': [str(path)],
                         'key': 'ec'}}))

    def drive(self) -> pathlib.Path:
        """Return a copy of a new drive."""
        self.host.made()
        return self.host.extract(
            self.drives / str(len(list(self.drives.iterdir()))))

    def run(self, drive: pathlib.Path, action: str = 'start',
            ) -> subprocess.CompletedProcess[str]:
        """Run the prolog, as a guest does."""
        return subprocess.run(
            ['sh', './prolog.sh', action], cwd=drive, capture_output=True,
            text=True, timeout=60)

    def installed(self) -> dict[str, tuple[bytes, int]]:
        """Return all files of the folder, with their permissions."""
        return {path.name: (path.read_bytes(), path.stat().st_mode & 0o7777)
                for path in self.target.iterdir()}


@pytest.fixture
def guest(tmp_path):
    return Guest(tmp_path)


def given(drive):
    """Return what is installed of a drive."""
    certificate = (drive / 'context' / 'hostcert.pem').read_bytes()
    return {'hostcert.pem': (certificate, 0o644),
            'hostkey.pem': (
                (drive / 'context' / 'hostkey.pem').read_bytes(), 0o400),
            '.hostcert-of-drive.pem': (certificate, 0o644)}


def assert_quiet(done):
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_both_are_installed(guest):
    drive = guest.drive()
    assert_quiet(guest.run(drive))
    assert guest.installed() == given(drive)
    assert guest.target.stat().st_mode & 0o7777 == 0o755
    key = serialization.load_pem_private_key(
        guest.installed()['hostkey.pem'][0], None)
    certificate = x509.load_pem_x509_certificate(
        guest.installed()['hostcert.pem'][0])
    assert key.public_key() == certificate.public_key()


def test_what_was_renewed_in_the_guest_stays(guest):
    drive = guest.drive()
    assert_quiet(guest.run(drive))
    (guest.target / 'hostcert.pem').write_text('renewed')
    assert_quiet(guest.run(drive))
    assert_quiet(guest.run(drive, 'stop'))
    assert (guest.target / 'hostcert.pem').read_text() == 'renewed'


def test_another_drive_replaces_them(guest):
    assert_quiet(guest.run(guest.drive()))
    drive = guest.drive()
    assert_quiet(guest.run(drive))
    assert guest.installed() == given(drive)


@pytest.mark.parametrize('name', [
    'hostcert.pem', 'hostkey.pem', '.hostcert-of-drive.pem'])
@pytest.mark.parametrize('lost', [
    lambda path: path.unlink(), lambda path: path.write_text('')])
def test_what_was_lost_is_installed_again(guest, name, lost):
    drive = guest.drive()
    assert_quiet(guest.run(drive))
    lost(guest.target / name)
    assert_quiet(guest.run(drive))
    assert guest.installed() == given(drive)


def test_what_is_cut_short_is_done_again(guest):
    drive = guest.drive()
    # The key cannot be moved there: this is where it ends.
    (guest.target / 'hostkey.pem' / 'hostkey.pem').mkdir(parents=True)
    done = guest.run(drive)
    assert done.returncode != 0
    assert 'hepix-vm: prolog 05-hostcert.sh failed' in done.stderr
    assert 'PRIVATE' not in done.stderr
    assert not (guest.target / 'hostcert.pem').exists()
    (guest.target / 'hostkey.pem' / 'hostkey.pem').rmdir()
    (guest.target / 'hostkey.pem').rmdir()
    assert_quiet(guest.run(drive))
    assert guest.installed() == given(drive)


def test_a_drive_without(guest):
    drive = guest.drive()
    (drive / 'context' / 'hostkey.pem').unlink()
    done = guest.run(drive)
    assert done.returncode == 1
    assert 'no host certificate on the drive' in done.stderr
    assert not guest.target.exists()


def test_stop_does_nothing(guest):
    assert_quiet(guest.run(guest.drive(), 'stop'))
    assert not guest.target.exists()
