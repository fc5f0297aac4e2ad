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

"""Host certificates that a command of the site signs, on real drives."""

import json
import os
import pathlib
import re
import signal
import subprocess
import textwrap
import time

from cryptography.hazmat.primitives import serialization
from cryptography import x509
import pytest

from hepix_vm.errors import ContextError
from hepix_vm.sitecontext import signers
from tests.functional.hostcerts import DOMAIN
from tests.functional.hostcerts import Host
from tests.functional.hostcerts import NAME
from tests.functional.hostcerts import OTHER
from tests.functional.hostcerts import UUID
from tests.testbed import pki

SIGN = ('openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial '
        '-copy_extensions copy')


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def public(data):
    return data.public_bytes(serialization.Encoding.PEM,
                             serialization.PublicFormat.SubjectPublicKeyInfo)


def openssl(*arguments, given=b''):
    return subprocess.run(['openssl', *arguments], input=given, check=True,
                          capture_output=True, timeout=60).stdout.decode()


def test_a_server_has_a_certificate_of_its_own(host, tmp_path):
    host.command(f'{SIGN} -days 20')
    host.made()
    root = host.extract(tmp_path / 'drive')
    certificate = root / 'context' / 'hostcert.pem'
    key = root / 'context' / 'hostkey.pem'
    assert key.stat().st_mode & 0o7777 == 0o400
    assert certificate.stat().st_mode & 0o7777 == 0o644
    assert openssl('verify', '-CAfile', str(tmp_path / 'ca.pem'),
                   '-verify_hostname', NAME, '-purpose', 'sslserver',
                   str(certificate)) == f'{certificate}: OK\n'
    assert openssl('pkey', '-in', str(key), '-pubout') == openssl(
        'x509', '-in', str(certificate), '-noout', '-pubkey')
    assert 'Private-Key: (2048 bit' in openssl(
        'pkey', '-in', str(key), '-noout', '-text')
    assert host.read('hostkey.pem') == key.read_bytes()
    text = openssl('x509', '-in', str(certificate), '-noout', '-text')
    assert re.search(rf'Subject: CN = {re.escape(NAME)}\n', text)
    assert re.search(rf'\n +DNS:{re.escape(NAME)}\n', text)
    # Neither its name, nor its hostname, nor its metadata.
    assert 'www' not in text and 'id' not in text.split('Subject:')[1][:80]


def test_it_is_recorded_without_the_key(host):
    host.command(f'{SIGN} -days 20')
    host.made()
    record, = host.journal
    certificate = x509.load_pem_x509_certificate(host.read('hostcert.pem'))
    not_after = certificate.not_valid_after_utc
    assert {name: record[name] for name in record
            if name not in ('host', 'time')} == {
        'service': 'nova-compute', 'event': 'hostcert', 'server': UUID,
        'name': NAME, 'serial': f'{certificate.serial_number:X}',
        'not_after': f'{not_after:%Y-%m-%dT%H:%M:%SZ}',
        'issuer': '/O=Example Site/CN=Example Site CA'}


def test_a_journal_that_cannot_be_written_changes_nothing(host):
    host.command(f'{SIGN} -days 20')
    host.state.write_text('no folder')
    host.made()
    assert b'PRIVATE' in host.read('hostkey.pem')


def test_two_servers_have_two_keys(host):
    host.command(f'{SIGN} -days 20', key='ec')
    found = []
    for uuid in (UUID, OTHER, UUID):
        host.made(uuid=uuid)
        certificate = x509.load_pem_x509_certificate(
            host.read('hostcert.pem'))
        found.append((certificate.serial_number, host.read('hostkey.pem')))
        assert certificate.subject == pki.make_name(f'/CN={uuid}.{DOMAIN}')
    assert len({serial for serial, _ in found}) == 3
    assert len({key for _, key in found}) == 3


def test_the_key_is_nowhere_else(host, tmp_path):
    """The command records what it is given, and what is open."""
    host.command(
        'env -0 > seen-env; tr "\\0" "\\n" < /proc/$$/cmdline > seen-argv\n'
        'tr "\\0" "\\n" < /proc/$PPID/cmdline > seen-parent\n'
        'tr "\\0" "\\n" < /proc/$PPID/environ > seen-environ\n'
        'ls -l /proc/$$/fd > seen-files; pwd > seen-folder\n'
        f'tee seen-request | {SIGN} -days 20; echo noise >&2')
    host.made(HEPIX_TEST_SECRET='of nova-compute')
    key = host.read('hostkey.pem')
    assert key.startswith(b'-----BEGIN PRIVATE KEY-----')
    middle = key.splitlines()[5]
    for path in tmp_path.rglob('*'):
        if path.is_file() and path != host.drive:
            content = path.read_bytes()
            assert middle not in content and b'PRIVATE' not in (
                b'' if path.suffix == '.key' else content), path
    assert host.drive.read_bytes().count(middle) == 1
    names = {line.partition('=')[0] for line in
             (tmp_path / 'seen-env').read_text().split('\0')}
    assert names - {'PWD', 'OLDPWD', '_', 'SHLVL', ''} == {'PATH', 'LC_ALL'}
    assert 'of nova-compute' in (tmp_path / 'seen-environ').read_text()
    request = x509.load_pem_x509_csr(
        (tmp_path / 'seen-request').read_bytes())
    assert request.is_signature_valid
    assert public(request.public_key()).decode() == openssl(
        'pkey', '-pubout', given=key)
    assert request.subject == pki.make_name(f'/CN={NAME}')
    names = request.extensions.get_extension_for_class(
        x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName(NAME)]


@pytest.mark.parametrize('facts, name', [
    ({'ec2': '192.0.2.5'}, 'host-192-0-2-5'),
    ({'addresses': ('198.51.100.7', '192.0.2.5')}, 'host-198-51-100-7'),
])
def test_names_by_address(host, facts, name):
    host.command(f'{SIGN} -days 20', name='address', key='ec')
    host.made(**facts)
    certificate = x509.load_pem_x509_certificate(host.read('hostcert.pem'))
    assert certificate.subject == pki.make_name(f'/CN={name}.{DOMAIN}')


def test_no_name_by_address(host):
    host.command(f'{SIGN} -days 20', name='address')
    assert 'No fixed address of the server is known' in host.refused()


@pytest.mark.parametrize('uuid', ['www', UUID.upper()])
def test_what_is_no_uuid_is_never_signed(host, uuid):
    host.command(f'touch asked; {SIGN} -days 20')
    assert 'no UUID' in host.refused(uuid=uuid)
    assert not (host.folder / 'asked').exists()


EXTRA = 'printf "%s\\n" "{}" > extra; ' + SIGN + ' -days 20 -extfile extra'
SAN = f'subjectAltName=DNS:{NAME}'
REFUSED = {
    'other key': (
        f'openssl req -new -newkey rsa:2048 -nodes -keyout /dev/null '
        f'-subj /CN={NAME} -addext {SAN} | {SIGN} -days 20', 'another key'),
    'other name': (f'{SIGN} -days 20 -subj /CN=www.example.org',
                   'another common name'),
    'one more name': (
        EXTRA.format(f'{SAN},DNS:www.example.org').replace(
            '-copy_extensions copy', ''), 'other alternative names'),
    'CA:TRUE': (EXTRA.format('basicConstraints=CA:TRUE'), 'that of a CA'),
    'too long': (f'{SIGN} -days 31', 'longer than the 720 hours'),
    'expired': (f'{SIGN} -days -1', 'has expired'),
    'garbage': ('head -c 9999 /dev/urandom', 'no certificate in PEM'),
    'nothing': ('exit 0', 'no certificate in PEM'),
    'the request': ('cat', 'no certificate in PEM'),
    '10 MB': ('head -c 10000000 /dev/zero', 'more than 65536 bytes'),
    'no end': ('exec cat /dev/zero', 'more than 65536 bytes'),
    'a status': (f'echo password >&2; {SIGN} -days 20; exit 3',
                 'failed with status 3'),
    'a signal': (f'{SIGN} -days 20; kill -9 $$', 'failed with status -9'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_all_else_is_refused(host, case):
    script, what = REFUSED[case]
    host.command(script, key='ec')
    line = host.refused()
    assert what in line
    assert 'password' not in line + json.dumps(host.journal)


def test_the_example_with_est(host, tmp_path):
    """The script of the page, with a curl that is the service as well."""
    page = pathlib.Path(__file__).parents[2] / (
        'doc/source/admin/hostcert.rst')
    script, = re.findall(r'    (#!/bin/sh\n(?:    .*\n)+)',
                         page.read_text())
    curl = tmp_path / 'curl'
    curl.write_text(
        '#!/bin/sh\nset -e\n'
        'openssl base64 -d | openssl req -inform DER | '
        f'{SIGN} -days 20 > signed\n'
        'openssl crl2pkcs7 -nocrl -certfile signed -outform DER | '
        'openssl base64 | sed "s/\\$/\\r/"\n')
    curl.chmod(0o755)
    host.command(f'PATH={tmp_path}:$PATH\n{textwrap.dedent(script)}')
    host.made()
    assert x509.load_pem_x509_certificate(host.read('hostcert.pem'))


def test_nothing_of_what_was_refused_is_in_the_context(host):
    """A warning: the drive has no context at all."""
    host.write_settings(context_failure='warn')
    host.command(f'{SIGN} -days 31')
    done = host.make()
    assert done.returncode == 0
    line, = done.stderr.splitlines()
    assert 'no context is on the drive' in line
    assert b'BEGIN' not in host.drive.read_bytes()


def test_a_program_that_is_gone(host):
    host.command(f'{SIGN} -days 20')
    host.made()
    (host.folder / 'sign').unlink()
    assert 'cannot be run: No such file' in host.refused()


def running(folder: pathlib.Path) -> list[int]:
    """Return the processes that wrote their ids, and are alive."""
    pids = [int(pid) for pid in (folder / 'pids').read_text().split()]
    return [pid for pid in pids if os.path.exists(f'/proc/{pid}/cmdline')
            and pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()]


def gone(folder: pathlib.Path) -> bool:
    """Wait until they are dead."""
    end = time.monotonic() + 10
    while running(folder) and time.monotonic() < end:
        time.sleep(0.01)
    return not running(folder)


LASTING = [
    'sleep 300 & echo $! $$ > pids; wait',
    # The one that was started is at an end, and its output is open.
    'sleep 300 & echo $! $$ > pids; exit 0',
    # It closes its output, and stays.
    'sleep 300 >&- & echo $! $$ > pids; exec >&-; wait',
    # It does not want to end.
    'trap "" TERM INT HUP; sleep 300 & echo $! $$ > pids; wait',
]


@pytest.mark.parametrize('script', LASTING)
def test_who_takes_too_long_is_killed(host, script):
    host.command(script, timeout=1, key='ec')
    assert 'took longer than 1 seconds' in host.refused()
    assert gone(host.folder)


def test_one_that_became_another_user_is_left_alone(host, monkeypatch):
    """As with sudo: it cannot be killed, and is not waited for."""
    def refuse(group: int, number: int) -> None:
        raise PermissionError

    path = host.command('echo $$ > pids; exec sleep 60')
    kill = os.killpg
    monkeypatch.setattr(os, 'killpg', refuse)
    begin = time.monotonic()
    try:
        with pytest.raises(ContextError, match='took longer than 3 seconds'):
            signers.by_command([str(path)], b'', 3)
        assert time.monotonic() - begin < 30
    finally:
        kill(int((host.folder / 'pids').read_text()), signal.SIGKILL)


@pytest.mark.parametrize('script', LASTING[:3])
def test_so_it_is_when_the_time_of_the_context_is_over(host, script):
    """The alarm of hepix-vm-mkisofs may ring while it runs."""
    def ring(number: int, frame: object) -> None:
        raise ContextError('It took too long.')

    path = host.command(script)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        # As long as its processes may need to be there on a busy machine.
        signal.setitimer(signal.ITIMER_REAL, 3)
        with pytest.raises(ContextError, match='too long'):
            signers.by_command([str(path)], b'', 60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert gone(host.folder)
