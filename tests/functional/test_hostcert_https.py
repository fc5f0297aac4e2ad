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

"""Host certificates that a service signs, by https, on real drives."""

import datetime
import json
import re
import threading

from cryptography.hazmat.primitives import serialization
from cryptography import x509
import pytest

from tests.functional.hostcerts import Host
from tests.functional.hostcerts import NAME
from tests.functional.hostcerts import Signer
from tests.testbed import pki

DAYS_31 = datetime.timedelta(days=31)


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.fixture
def signer(host):
    with Signer(host) as signer:
        signer.section(key='ec')
        yield signer


def test_a_service_signs(host, signer):
    signer.section()
    host.made()
    certificate = x509.load_pem_x509_certificate(host.read('hostcert.pem'))
    assert certificate.subject == pki.make_name(f'/CN={NAME}')
    asked, = signer.requests
    assert asked['path'] == '/sign?a=1'
    assert asked['Content-Type'] == 'application/pkcs10'
    assert asked['Accept'] == 'application/pem-certificate-chain'
    assert 'Authorization' not in asked
    request = x509.load_pem_x509_csr(asked['body'].encode())
    assert request.public_key() == certificate.public_key()
    assert 'PRIVATE' not in json.dumps([asked, host.journal])
    assert host.journal[0]['event'] == 'hostcert'


def test_a_chain_is_kept(host, signer):
    signer.answer = lambda request: host.sign(request) + host.ca.pem
    host.made()
    chain = x509.load_pem_x509_certificates(host.read('hostcert.pem'))
    assert chain[1:] == [host.ca.certificate]


def test_the_environment_says_nothing(host, signer, tmp_path):
    """No proxy, no password, no other CAs."""
    (tmp_path / '.netrc').write_text(
        'machine localhost login me password secret\n')
    host.made(HOME=str(tmp_path), https_proxy='http://127.0.0.1:9',
              HTTPS_PROXY='http://127.0.0.1:9', all_proxy='http://127.0.0.1:9',
              REQUESTS_CA_BUNDLE='/none')
    asked, = signer.requests
    assert 'Authorization' not in asked


def names(*values):
    return [(x509.SubjectAlternativeName(
        [x509.DNSName(value) for value in values]), False)]


REFUSED = {
    'other key': ({'key': pki.make_key('ec').public_key()}, 'another key'),
    'other name': ({'dn': '/CN=www.example.org'}, 'another common name'),
    'one more name': ({'extensions': names(NAME, 'www.example.org')},
                      'other alternative names'),
    'a wildcard': ({'extensions': names('*.vm.example.org')},
                   'other alternative names'),
    'CA:TRUE': ({'ca': True}, 'that of a CA'),
    'too long': ({'not_after': pki.utcnow() + DAYS_31},
                 'longer than the 720 hours'),
    'expired': ({'not_after': pki.utcnow() - pki.DAY / 2}, 'has expired'),
    'not yet': ({'not_before': pki.utcnow() + pki.DAY}, 'not valid yet'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_other_certificates_are_refused(host, signer, case):
    changes, what = REFUSED[case]
    signer.answer = lambda request: host.sign(request, **changes)
    assert what in host.refused()


@pytest.mark.parametrize('answer, what', [
    (b'\0\xff' * 999, 'no certificate in PEM'),
    (b'', 'no certificate in PEM'),
    (b'x' * 10_000_000, 'more than 65536 bytes'),
])
def test_other_answers_are_refused(host, signer, answer, what):
    signer.answer = lambda request: answer
    assert what in host.refused()


@pytest.mark.parametrize('status', [201, 202, 301, 307, 308, 401, 403, 500])
def test_any_other_status_is_refused(host, signer, status):
    """A redirect too: no second request is sent."""
    signer.status = status
    signer.headers = {'Location': f'https://localhost:{signer.port}/other'}
    line = host.refused()
    assert f'on localhost, answered with HTTP status {status}' in line
    assert len(signer.requests) == 1


def test_an_answer_that_is_cut_short(host, signer):
    """A chain may be whole up to there, and is not believed."""
    signer.headers = {'X-Length': '9999'}
    assert 'gave no answer: IncompleteRead' in host.refused()


@pytest.mark.parametrize('headers', [{}, {'X-Length': '999999'}])
def test_who_answers_bit_by_bit_takes_too_long(host, signer, headers):
    signer.section(key='ec', timeout=1)
    signer.slowly = threading.Event()
    signer.headers = {'X-Length': '60000', **headers}
    assert 'took longer than 1 seconds' in host.refused()


def test_who_says_nothing_takes_too_long(host, signer):
    signer.section(key='ec', timeout=1)
    done = threading.Event()
    signer.answer = lambda request: done.wait(30) and b'' or b''
    try:
        assert 'took longer than 1 seconds' in host.refused()
    finally:
        done.set()


def test_nobody_answers(host, signer):
    signer.section(key='ec', url='https://localhost:9/')
    assert 'gave no answer: Connection refused' in host.refused()


def test_a_service_of_another_ca_is_not_asked(host, signer, tmp_path):
    other = pki.Authority.create('/O=Example Site/CN=Example Site CA')
    other.write(tmp_path, 'other')
    signer.section(key='ec', ca_file=str(tmp_path / 'other.pem'))
    assert 'its certificate is not accepted' in host.refused()
    assert signer.requests == []


def test_without_ca_file_the_system_is_asked(host, signer, tmp_path):
    signer.section(key='ec', ca_file=None)
    assert 'its certificate is not accepted' in host.refused()
    host.made(SSL_CERT_FILE=str(tmp_path / 'ca.pem'))


def test_a_service_with_another_name_is_not_asked(host, signer):
    signer.section(key='ec', url=f'https://127.0.0.1:{signer.port}/')
    assert 'its certificate is not accepted' in host.refused()
    assert signer.requests == []


def test_who_has_no_client_certificate_has_no_answer(host, signer):
    signer.section(key='ec', client_certificate=None, client_key=None)
    assert 'gave no answer' in host.refused()
    assert signer.requests == []


@pytest.mark.parametrize('changes, what', [
    ({'client_key': 'server.key'}, 'KEY_VALUES_MISMATCH'),
    # Nobody is asked for a password, which would be waiting for ever.
    ({'client_key': 'locked.key'}, 'OpenSSL says no more'),
    ({'client_certificate': 'hepix-vm.conf'}, 'NO_START_LINE|PEM'),
    ({'ca_file': 'hepix-vm.conf'}, 'NO_CERTIFICATE_OR_CRL_FOUND'),
    ({'ca_file': 'disk'}, 'No such file'),
])
def test_files_that_cannot_be_used(host, signer, tmp_path, changes, what):
    key = signer.host.ca.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b'secret'))
    (tmp_path / 'locked.key').write_bytes(key)
    (tmp_path / 'locked.key').chmod(0o600)
    (tmp_path / 'disk').touch()
    signer.section(key='ec', **{key: str(tmp_path / name)
                                for key, name in changes.items()})
    if changes == {'ca_file': 'disk'}:
        host.make()
        (tmp_path / 'disk').unlink()
    line = host.refused()
    assert 'cannot be asked with ca_file' in line
    assert re.search(what, line)
