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

"""Who signs, where commands are told and where they are not."""

import argparse

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
import pytest

from hepix_vm.cmd import signing
from hepix_vm.errors import ConfigError
from hepix_vm.errors import TrustError
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import CA

MAIL = frozenset({'emailProtection'})


@pytest.fixture(scope='module')
def authority():
    return pki.Authority.create(CA)


@pytest.fixture(scope='module')
def alice(authority):
    return authority.issue(ALICE)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder in which certificates of the grid are looked for."""
    monkeypatch.setenv('HOME', str(tmp_path))
    folder = tmp_path / '.globus'
    folder.mkdir()
    return folder


def write(path, data):
    path.touch(mode=0o600)
    path.write_bytes(data)
    return path


def write_pem(folder, identity):
    return (write(folder / 'usercert.pem', identity.pem),
            write(folder / 'userkey.pem', identity.key_pem))


def write_p12(path, identity, secret=b'secret'):
    return write(path, pkcs12.serialize_key_and_certificates(
        b'me', identity.key, identity.certificate, None,
        serialization.BestAvailableEncryption(secret)))


def signer_of(*options, purposes=MAIL):
    parser = argparse.ArgumentParser()
    signing.add_options(parser)
    return signing.signer_of(parser.parse_args(options), purposes)


def test_what_is_at_home_signs(home, alice, authority, tmp_path):
    write_pem(home, alice)
    assert signer_of().certificate == alice.certificate
    other = authority.issue(ALICE)
    write_p12(home / 'usercred.p12', other)
    assert signer_of().certificate == alice.certificate
    named = write(tmp_path / 'named.pem', other.pem)
    with pytest.raises(TrustError, match='not that of the certificate'):
        signer_of('--certificate', str(named))
    key = write(tmp_path / 'key.pem', other.key_pem)
    assert signer_of('--certificate', str(named), '--key', str(key)
                     ).certificate == other.certificate


def test_a_browsers_file_at_home_signs(home, alice, tmp_path):
    write_p12(home / 'usercred.p12', alice)
    secret = write(tmp_path / 'passphrase', b'secret\n')
    assert signer_of('--passphrase-file', str(secret)
                     ).certificate == alice.certificate
    # Who names a certificate means no other.
    with pytest.raises(ConfigError, match='usercert.pem: .* No such file'):
        signer_of('--key', str(home / 'userkey.pem'))


def test_a_file_that_is_named_comes_first(home, alice, authority, tmp_path):
    write_pem(home, authority.issue(ALICE))
    named = write_p12(tmp_path / 'named.p12', alice)
    secret = write(tmp_path / 'passphrase', b'secret\n')
    given = ('--pkcs12', str(named), '--passphrase-file', str(secret))
    assert signer_of(*given).certificate == alice.certificate
    for option in ('--certificate', '--key'):
        with pytest.raises(ConfigError, match='is given besides'):
            signer_of(*given, option, 'x')


def test_nobody_signs(home):
    with pytest.raises(ConfigError, match='neither .*usercert.pem nor .*p12'
                       ) as raised:
        signer_of()
    assert '--pkcs12' in raised.value.remedy


def test_who_may_not_sign(home, authority):
    write_pem(home, authority)
    with pytest.raises(TrustError):
        signer_of()
