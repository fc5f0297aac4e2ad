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

"""The programs that DevStack's plugin brings: what each of them is for."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import os
import pathlib
import signal
import subprocess
import tarfile

import pytest
import yaml

from hepix_vm import paths
from tests.testbed.glance import program
from tests.testbed import images
from tests.testbed import publishing

TOOLS = pathlib.Path(__file__).parents[2] / 'devstack' / 'tools'
_LIMIT = 60  # seconds

# It runs what is behind it, and lets files be whose they are.
_SUDO = """\
#!/bin/bash
words=()
while [[ $# -gt 0 ]]; do
    case $1 in
        -o | -g) shift 2 ;;
        *)
            words+=("$1")
            shift
            ;;
    esac
done
exec "${words[@]}"
"""


def script(path: pathlib.Path, text: str) -> pathlib.Path:
    """Write a program."""
    path.write_text(text)
    path.chmod(0o755)
    return path


class TestCa:
    """The test CA in a folder, and the site that believes it."""

    __test__ = False

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.ca = folder / 'ca'
        self.anchors = folder / 'certificates'
        self.anchors.mkdir()
        programs = folder / 'programs'
        programs.mkdir()
        script(programs / 'sudo', _SUDO)
        self.environment = {
            **os.environ, 'PATH': f'{programs}:{os.environ["PATH"]}'}
        self.environment.pop('HEPIX_VM_CA_DIR', None)

    def __call__(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run the program."""
        return subprocess.run(
            [TOOLS / 'test-ca.sh', *map(str, words)], text=True,
            capture_output=True, timeout=_LIMIT, env=self.environment)

    def make(self) -> None:
        """Make what is missing."""
        done = self('make', self.ca, self.anchors)
        assert (done.returncode, done.stderr) == (0, '')

    def kept(self) -> dict[str, bytes]:
        """What a second time leaves as it is."""
        return {name: (self.ca / name).read_bytes() for name in (
            'ca.pem', 'ca.key', 'endorser.pem', 'endorser.key')}

    def crl(self) -> bytes:
        """The CRL that the site has."""
        path, = self.anchors.glob('*.r0')
        return path.read_bytes()

    def publish(self) -> str:
        """Have the endorser sign a list, which the site judges.

        :returns: what was said against it
        """
        file = self.folder / 'publish.yaml'
        file.write_text(yaml.safe_dump({
            'uuid': publishing.LIST, 'uri': 'https://lists.example.org/',
            'title': 'Test', 'email': 'alice@example.org',
            'images': [publishing.declared(b'bytes')]}))
        (self.folder / 'policy.yaml').touch()
        config = self.folder / 'hepix-vm.conf'
        config.write_text(
            f'[hepix_vm]\nstate_dir = {self.folder}\n'
            f'trust_anchors = {self.anchors}\n'
            f'policy_file = {self.folder}/policy.yaml\n'
            f'subscriptions_file = {self.folder}/none.yaml\n')
        return subprocess.run(
            [program('hepix-vm-sync'), 'publish', str(file), '--yes',
             '--output', str(self.folder / 'list'),
             '--certificate', str(self.ca / 'endorser.pem'),
             '--key', str(self.ca / 'endorser.key')],
            text=True, capture_output=True, timeout=_LIMIT,
            env={**os.environ, paths.ENVIRONMENT: str(config)}).stderr


@pytest.fixture
def ca(tmp_path: pathlib.Path) -> TestCa:
    """A test CA that was made once."""
    found = TestCa(tmp_path)
    found.make()
    return found


def test_a_site_accepts_what_the_endorser_signs(ca: TestCa) -> None:
    assert ca.publish() == ''


def test_the_keys_are_for_their_owner_only(ca: TestCa) -> None:
    assert ca.ca.stat().st_mode & 0o777 == 0o700
    for name in ('ca.key', 'endorser.key'):
        assert (ca.ca / name).stat().st_mode & 0o777 == 0o600
    # Not even what was there before a file was renamed.
    assert not list(ca.ca.glob('*.new'))
    assert not list(ca.anchors.glob('.*'))


def test_a_second_time_keeps_all_but_the_crl(ca: TestCa) -> None:
    before, crl = ca.kept(), ca.crl()
    ca.make()
    assert ca.kept() == before
    assert ca.crl() != crl


def test_a_revoked_endorser_counts_no_more(ca: TestCa) -> None:
    done = ca('revoke', ca.ca)
    assert done.returncode == 0
    assert 'renew' in done.stdout
    assert '[signer-revoked]' in ca.publish()
    # It says so, rather than nothing, the second time.
    again = ca('revoke', ca.ca)
    assert again.returncode == 1
    assert 'revoked already' in again.stderr


@pytest.mark.parametrize('way', ['renew', 'make'])
def test_another_endorser_of_the_same_name(ca: TestCa, way: str) -> None:
    ca('revoke', ca.ca)
    before = ca.kept()
    if way == 'renew':
        assert ca('renew', ca.ca).returncode == 0
    else:
        ca.make()
    after = ca.kept()
    assert {name for name in after if after[name] != before[name]} == {
        'endorser.pem', 'endorser.key'}
    assert ca.publish() == ''


def test_a_key_that_is_not_that_of_the_certificate(ca: TestCa) -> None:
    key = (ca.ca / 'ca.key').read_bytes()
    (ca.ca / 'endorser.key').write_bytes(key)
    ca.make()
    assert ca.publish() == ''


def test_the_ca_may_sign_for_its_own_names_only(ca: TestCa) -> None:
    policy, = ca.anchors.glob('*.signing_policy')
    policy.write_text(policy.read_text().replace('OU=DevStack/*', 'OU=Other'))
    assert '[signing-policy]' in ca.publish()


def test_a_new_crl(ca: TestCa) -> None:
    before = ca.crl()
    assert ca('crl', ca.ca).returncode == 0
    assert ca.crl() != before


@pytest.mark.parametrize('words', [
    (), ('sign',), ('make', 'one'), ('revoke', 'one', 'two')])
def test_a_command_line_that_is_none(ca: TestCa,
                                     words: tuple[str, ...]) -> None:
    done = ca(*words)
    assert done.returncode == 2
    assert 'usage' in done.stderr


def test_a_folder_without_a_ca(ca: TestCa) -> None:
    done = ca('revoke', ca.folder / 'elsewhere')
    assert done.returncode == 1
    assert 'there is no test CA' in done.stderr
    assert not (ca.folder / 'elsewhere').exists()


def test_what_it_made_is_removed_and_nothing_else(ca: TestCa) -> None:
    for name in ('revoke', 'renew'):
        assert ca(name, ca.ca).returncode == 0
    for path in (ca.anchors / '01234567.0', ca.ca / 'notes'):
        path.write_text('of somebody else')
    assert ca('remove', ca.ca).returncode == 0
    assert [path.name for path in ca.anchors.iterdir()] == ['01234567.0']
    assert [path.name for path in ca.ca.iterdir()] == ['notes']


def test_a_folder_that_is_empty_then_goes(ca: TestCa) -> None:
    assert ca('remove', ca.ca).returncode == 0
    assert not ca.ca.exists()
    assert list(ca.anchors.iterdir()) == []


def unpack(name: str, file: pathlib.Path, work: pathlib.Path,
           ) -> subprocess.CompletedProcess[str]:
    """Ask what DevStack uploads of an image with this name."""
    return subprocess.run(
        [TOOLS / 'unpack-image.sh', f'https://images.example.org/{name}',
         file, work], text=True, capture_output=True, timeout=_LIMIT)


@pytest.fixture
def work(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder to unpack into."""
    folder = tmp_path / 'work'
    folder.mkdir()
    return folder


@pytest.fixture
def raw(tmp_path: pathlib.Path) -> pathlib.Path:
    """The bytes of a disk."""
    return images.patterned_file(tmp_path / 'raw', 1 << 20)


@pytest.mark.parametrize(('name', 'format_'), [
    ('disk.img', 'RAW'), ('disk.raw', 'RAW'), ('disk.qcow2', 'QCOW2'),
    ('disk.iso', 'ISO'), ('disk.vhd', 'VHD'), ('disk.vhdx', 'VHDX'),
    ('openvz.tar.gz', 'AMI'), ('disk-hvm.hds', 'PLOOP')])
def test_what_is_uploaded_as_it_is(
        raw: pathlib.Path, work: pathlib.Path, name: str,
        format_: str) -> None:
    assert unpack(name, raw, work).stdout == f'{format_}\t{raw}\t{name}\n'


def test_the_format_of_an_img_is_looked_at(
        tmp_path: pathlib.Path, raw: pathlib.Path,
        work: pathlib.Path) -> None:
    disk = images.qcow2(raw, tmp_path / 'disk.img')
    assert unpack('disk.img', disk, work).stdout == (
        f'QCOW2\t{disk}\tdisk.img\n')


@pytest.mark.parametrize(('packer', 'name', 'format_'), [
    ('gzip', 'disk.img.gz', 'RAW'), ('bzip2', 'disk.img.bz2', 'QCOW2'),
    ('xz', 'disk.qcow2.xz', 'QCOW2'), ('gzip', 'disk.vhd.gz', 'VHD'),
    ('gzip', 'disk.vhdx.gz', 'VHDX')])
def test_what_is_packed_is_uploaded_unpacked(
        tmp_path: pathlib.Path, raw: pathlib.Path, work: pathlib.Path,
        packer: str, name: str, format_: str) -> None:
    packed = tmp_path / name
    with packed.open('wb') as target:
        subprocess.run([packer, '-c', raw], stdout=target, check=True)
    done = unpack(name, packed, work)
    assert done.stdout == f'{format_}\t{work}/unpacked\t{name}\n'
    assert (work / 'unpacked').read_bytes() == raw.read_bytes()
    packed.write_bytes(packed.read_bytes()[:-9])
    assert unpack(name, packed, work).returncode != 0


def test_an_archive_is_three_images(
        tmp_path: pathlib.Path, raw: pathlib.Path,
        work: pathlib.Path) -> None:
    archive = tmp_path / 'sys.tar.gz'
    with tarfile.open(archive, 'w:gz') as target:
        for name in ('s-vmlinuz', 's-initrd', 's.img'):
            target.add(raw, name)
    assert unpack('sys.tar.gz', archive, work).stdout == (
        f'AKI\t{work}/s-vmlinuz\tsys.tar.gz: kernel\n'
        f'ARI\t{work}/s-initrd\tsys.tar.gz: ramdisk\n'
        f'AMI\t{work}/s.img\tsys.tar.gz\n')


def test_a_vmdk_is_one_file(tmp_path: pathlib.Path, raw: pathlib.Path,
                            work: pathlib.Path) -> None:
    for kind, good in (('streamOptimized', True), ('monolithicSparse', True),
                       ('monolithicFlat', False)):
        disk = tmp_path / f'{kind}.vmdk'
        images.run('qemu-img', 'convert', '-O', 'vmdk', '-o',
                   f'subformat={kind}', str(raw), str(disk))
        done = unpack(disk.name, disk, work)
        assert (done.returncode == 0) == good
        assert done.stdout == (
            f'VMDK\t{disk}\t{disk.name}\n' if good else '')


def test_a_name_that_devstack_does_not_know(raw: pathlib.Path,
                                            work: pathlib.Path) -> None:
    done = unpack('disk', raw, work)
    assert done.returncode == 1
    assert 'https://images.example.org/disk' in done.stderr


Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: pathlib.Path) -> Iterator[Start]:
    """Starts the service, with a hepix-vm-sync of this text."""
    started: list[subprocess.Popen[str]] = []

    def _start(text: str) -> subprocess.Popen[str]:
        sync = script(tmp_path / 'sync', f'#!/bin/bash\n{text}\n')
        started.append(subprocess.Popen(
            [TOOLS / 'follow-lists.sh', sync, '1'], text=True, cwd=tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True))
        return started[-1]

    yield _start
    for process in started:
        # What it left behind as well.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=_LIMIT)


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    """Read what it says."""
    assert process.stdout is not None
    return [process.stdout.readline().rstrip('\n') for _ in range(count)]


def test_it_follows_and_sweeps_again_and_again(start: Start) -> None:
    assert lines(start('echo "ran $*"'), 4) == [
        'ran ', 'ran --sweep', 'ran ', 'ran --sweep']


def test_a_run_that_fails_is_said_and_tried_again(
        start: Start, tmp_path: pathlib.Path) -> None:
    process = start('echo "ran $*"; exit 2')
    said = lines(process, 6)
    sync = tmp_path / 'sync'
    assert said[1] == (
        f'{sync} ended with status 2; it is tried again in 1 s')
    assert [said[0], said[2], said[4]] == ['ran ', 'ran --sweep', 'ran ']
    assert process.poll() is None


def test_it_ends_at_once_with_what_it_runs(start: Start) -> None:
    process = start('echo $$; exec sleep 600')
    child, = lines(process, 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(child), 0)


@pytest.mark.parametrize('words', [(), ('sync',), ('sync', 'often')])
def test_the_service_without_an_interval(words: tuple[str, ...]) -> None:
    done = subprocess.run([TOOLS / 'follow-lists.sh', *words], text=True,
                          capture_output=True, timeout=_LIMIT)
    assert done.returncode == 2
    assert 'usage' in done.stderr
