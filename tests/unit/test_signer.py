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

"""Certificates and keys with which endorsers sign."""

import datetime

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import TrustError
from hepix_vm.exchange import signer
from hepix_vm.trust import envelope
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import CA

SECRET = b'c0rrect h\xc3\xb6rse'
MAIL = frozenset({'emailProtection'})


@pytest.fixture(scope='module')
def authority():
    return pki.Authority.create(CA)


def never(prompt):
    pytest.fail('there is nothing to ask for')


class Asked:
    """Answers, and remembers for what it was asked."""

    def __init__(self, answer=SECRET):
        self.answer = answer
        self.prompts = []

    def __call__(self, prompt):
        self.prompts.append(prompt)
        return self.answer


def encrypted(key, form=serialization.PrivateFormat.PKCS8):
    return key.private_bytes(
        serialization.Encoding.PEM, form,
        serialization.BestAvailableEncryption(SECRET))


def load(tmp_path, who, ask=never, key=None, extra=b''):
    certificate, path = who.write(tmp_path, 'user')
    certificate.write_bytes(who.pem + extra)
    if key is not None:
        path.write_bytes(key)
    return signer.from_pem(str(certificate), str(path), ask)


@pytest.mark.parametrize('kind', ['rsa', 'ec'])
def test_a_plain_key(tmp_path, authority, kind):
    found = load(tmp_path, authority.issue(ALICE, key=kind))
    signer.check(found, pki.utcnow(), MAIL)
    signed = envelope.verify(found.sign(b'text'))
    assert signed.signer == found.certificate
    assert 'PrivateKey' not in repr(found)
    endorser = found.endorser('alice@example.org', '')
    assert (endorser.dn, endorser.ca, endorser.creator) == (
        ALICE, CA, 'Alice Endorser')
    assert found.endorser('', 'A. Endorser').creator == 'A. Endorser'


@pytest.mark.parametrize('form', [
    serialization.PrivateFormat.PKCS8,
    serialization.PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key(tmp_path, authority, form):
    who = authority.issue(ALICE)
    ask = Asked()
    found = load(tmp_path, who, ask, encrypted(who.key, form))
    assert ask.prompts == [f'Passphrase of {tmp_path}/user.key: ']
    signer.check(found, pki.utcnow(), MAIL)


@pytest.mark.parametrize('answer', [b'tr0ub4dor', b'', SECRET[:-1]])
def test_a_wrong_passphrase_is_in_no_message(tmp_path, authority, answer):
    who = authority.issue(ALICE)
    with pytest.raises(ConfigError, match='does not open it') as caught:
        load(tmp_path, who, Asked(answer), encrypted(who.key))
    assert not answer or answer.decode(errors='replace') not in str(
        caught.value)


@pytest.mark.parametrize('content, what', [
    (b'', 'no key in PEM'), (b'x', 'no key in PEM'),
    (b'-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n',
     'no key in PEM')])
def test_what_is_no_key(tmp_path, authority, content, what):
    with pytest.raises(ConfigError, match=what):
        load(tmp_path, authority.issue(ALICE), key=content)


def test_what_is_no_certificate(tmp_path, authority):
    key = authority.issue(ALICE).write(tmp_path, 'user')[1]
    for content in (b'', b'x', authority.issue(ALICE).key_pem):
        path = tmp_path / 'other.pem'
        path.write_bytes(content)
        with pytest.raises(ConfigError, match='no certificate in PEM'):
            signer.from_pem(str(path), str(key), never)
    with pytest.raises(ConfigError, match='No such file'):
        signer.from_pem(str(tmp_path / 'none'), str(key), never)


def test_a_key_of_another_kind(tmp_path, authority):
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption())
    with pytest.raises(ConfigError, match='Only RSA and EC'):
        load(tmp_path, authority.issue(ALICE), key=key)


@pytest.mark.parametrize('mode', [0o640, 0o604, 0o660, 0o602])
def test_a_key_that_others_can_read(tmp_path, authority, mode):
    certificate, key = authority.issue(ALICE).write(tmp_path, 'user')
    key.chmod(mode)
    with pytest.raises(ConfigError, match='Others than its owner') as caught:
        signer.from_pem(str(certificate), str(key), never)
    assert caught.value.remedy == f'chmod 600 {key}'


def test_intermediates_go_along_and_roots_do_not(tmp_path, authority):
    middle = authority.intermediate('/C=EU/CN=Intermediate CA')
    found = load(tmp_path, middle.issue(ALICE),
                 extra=middle.pem + authority.pem)
    assert found.chain == (middle.certificate,)


def test_the_key_of_another_certificate(tmp_path, authority):
    found = load(tmp_path, authority.issue(ALICE, key='ec'),
                 key=authority.issue(ALICE, key='ec').key_pem)
    with pytest.raises(TrustError, match='not that of the cert') as caught:
        signer.check(found, pki.utcnow(), MAIL)
    assert caught.value.code is Code.SIGNATURE_INVALID


@pytest.mark.parametrize('options, code', [
    ({'not_after': pki.utcnow() - datetime.timedelta(hours=1)},
     Code.SIGNER_EXPIRED),
    ({'not_before': pki.utcnow() + datetime.timedelta(hours=1)},
     Code.SIGNER_EXPIRED),
    ({'eku': ('serverAuth',)}, Code.UNTRUSTED_CA),
    ({'key_usage': ('key_encipherment',)}, Code.UNTRUSTED_CA)])
def test_certificates_that_may_not_sign(tmp_path, authority, options, code):
    found = load(tmp_path, authority.issue(ALICE, **options))
    with pytest.raises(TrustError) as caught:
        signer.check(found, pki.utcnow(), MAIL)
    assert caught.value.code is code


def bundle(tmp_path, who, others=(), **parts):
    path = tmp_path / 'user.p12'
    path.touch(mode=0o600)
    path.write_bytes(pkcs12.serialize_key_and_certificates(**{
        'name': b'alice', 'key': who.key, 'cert': who.certificate,
        'cas': others, **parts, 'encryption_algorithm':
        serialization.BestAvailableEncryption(SECRET)}))
    return path


def test_pkcs12(tmp_path, authority):
    middle = authority.intermediate('/C=EU/CN=Intermediate CA')
    who = middle.issue(ALICE)
    path = bundle(tmp_path, who, [authority.certificate, middle.certificate])
    ask = Asked()
    found = signer.from_pkcs12(str(path), ask)
    assert ask.prompts == [f'Passphrase of {path}: ']
    assert (found.certificate, found.chain) == (
        who.certificate, (middle.certificate,))
    signer.check(found, pki.utcnow(), MAIL)
    for wrong in (b'wrong', b''):
        with pytest.raises(ConfigError, match='does not open it'):
            signer.from_pkcs12(str(path), Asked(wrong))
    path.chmod(0o644)
    with pytest.raises(ConfigError, match='Others than its owner'):
        signer.from_pkcs12(str(path), ask)
    path.chmod(0o600)
    path.write_bytes(b'x')
    with pytest.raises(ConfigError, match=r'no PKCS#12 file'):
        signer.from_pkcs12(str(path), ask)


def test_pkcs12_without_the_key(tmp_path, authority):
    path = bundle(tmp_path, authority.issue(ALICE), key=None)
    with pytest.raises(ConfigError, match='lacks the certificate or its'):
        signer.from_pkcs12(str(path), Asked())
