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

"""The matrix of messages, judged by us and by the openssl command."""

from collections.abc import Iterable
import pathlib
import subprocess

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import TrustError
from hepix_vm.trust import anchors
from hepix_vm.trust import envelope
from tests.testbed import pki
from tests.unit.trust import make_messages
from tests.unit.trust import matrix
from tests.unit.trust.matrix import Case
from tests.unit.trust import matrix_refused

CASES = (*matrix.ACCEPTED, *matrix_refused.REFUSED)


@pytest.fixture(scope='module')
def world() -> make_messages.World:
    return make_messages.World()


def _by_name(cases: Iterable[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize('case', cases, ids=lambda c: c.name)


def test_names_are_unique() -> None:
    names = [case.name for case in CASES]

    assert len(set(names)) == len(names) >= 45


@_by_name(matrix.ACCEPTED)
def test_accepted(case: Case, world: make_messages.World) -> None:
    signed = envelope.verify(case.make(world), **case.options)

    assert signed.content == case.content
    assert _chain(case, world, signed) == ()


@_by_name(matrix_refused.ENVELOPE)
def test_refused_envelope(case: Case, world: make_messages.World) -> None:
    with pytest.raises(TrustError) as caught:
        envelope.verify(case.make(world), **case.options)

    assert caught.value.code is case.code


@_by_name(matrix_refused.CHAIN)
def test_refused_chain(case: Case, world: make_messages.World) -> None:
    signed = envelope.verify(case.make(world), **case.options)

    assert set(_chain(case, world, signed)) == {case.code}


@_by_name(CASES)
def test_openssl_agrees(case: Case, world: make_messages.World,
                        tmp_path: pathlib.Path) -> None:
    """A difference must be one that the case declares and explains."""
    pki.write_folder(tmp_path / 'ca', [case.folder(world)])
    out = tmp_path / 'content'

    accepted = _openssl(case.make(world), tmp_path / 'ca', out)

    expected = case.openssl
    if expected is None:
        expected = case.code is None
    else:
        assert case.why
    assert accepted == expected
    if accepted and case.code is None:
        assert out.read_bytes() == case.content


def _chain(case: Case, world: make_messages.World,
           signed: envelope.SignedContent) -> tuple[Code, ...]:
    reasons = anchors.load(case.folder(world)).check_chain(
        signed.signer, signed.certificates, make_messages.NOW,
        anchors.ChainSettings(**case.settings))
    return tuple(reason.code for reason in reasons)


def _openssl(message: bytes, folder: pathlib.Path,
             out: pathlib.Path) -> bool:
    form = 'SMIME'
    if message.startswith(b'\x30'):
        form = 'DER'
    elif message.startswith(b'-----BEGIN'):
        form = 'PEM'
    at = int(make_messages.NOW.timestamp())
    done = subprocess.run(
        ['openssl', 'cms', '-verify', '-inform', form, '-CApath', folder,
         '-no-CAfile', '-no-CAstore', '-crl_check_all', '-attime', str(at),
         '-out', out], input=message, capture_output=True)
    return done.returncode == 0
