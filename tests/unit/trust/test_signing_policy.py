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

"""What a CA may sign: Globus signing policies and EUGridPMA namespaces."""

from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
import pytest

from hepix_vm.errors import MalformedError
from hepix_vm.trust import names
from hepix_vm.trust import signing_policy
from tests.testbed import pki

CA = '/C=EU/O=Example Grid/CN=Example Grid CA'
ALICE = '/C=EU/O=Example Grid/CN=Alice'
OTHER = '/C=EU/O=Other Grid/CN=Bob'


def permits(name, text, subject, stems=frozenset()):
    """Return what a file says; None where it says nothing of the CA."""
    file = signing_policy.parse(name, frozenset({'ca'}), text.encode())
    rules = file.about(names.spellings(pki.make_name(CA)), stems)
    if not rules:
        return None
    return signing_policy.permits(rules, pki.make_name(subject))


def eacl(subjects, ca=CA):
    return (f"access_id_CA X509 '{ca}'\npos_rights globus CA:sign\n"
            f"cond_subjects globus '{subjects}'\n")


@pytest.mark.parametrize('subjects, subject, expected', [
    ('"/C=EU/O=Example Grid/*"', ALICE, True),
    ('"/C=EU/O=Example Grid/*"', OTHER, False),
    ('"/C=DE/*" "/C=EU/O=Other*"', OTHER, True),
    ('*', OTHER, True),
    ('"/C=EU/O=Example Grid/CN=A?ice"', ALICE, True),
    ('"/C=EU/O=Example.Grid/CN=Alice"', ALICE, False),
    ('"/c=eu/*"', ALICE, False),
    ('"/C=EU/O=Example Grid/CN=Alic"', ALICE, False),
    ('"/C=EU/O=Example Grid/CN=*/Email=a@b.org"',
     f'{ALICE}/emailAddress=a@b.org', True),
])
def test_globs(subjects, subject, expected):
    assert permits('ca.signing_policy', eacl(subjects), subject) is expected


def test_a_signing_policy_of_another_ca_says_nothing():
    text = eacl('"/C=EU/*"', ca='/C=EU/CN=Another CA')
    assert permits('ca.signing_policy', text, ALICE) is None


def test_comments_and_several_cas_in_a_file():
    text = ('# a comment\n\n' + eacl('"/C=DE/*"', '/C=EU/CN=Another CA')
            + '  # another\n' + eacl('"/C=EU/*"'))
    assert permits('ca.signing_policy', text, ALICE) is True
    assert permits('ca.signing_policy', text, '/C=DE/CN=x') is False


@pytest.mark.parametrize('text', [
    'access_id_CA X509\n', "access_id_CA X509 '/C=EU'\n",
    "pos_rights globus CA:sign\n", eacl('"/C=EU/*" /C=DE/*'),
    eacl('"*"').replace('pos_rights', 'neg_rights'),
    eacl('"*"').replace('CA:sign', 'CA:sing'),
    eacl('"*"').replace('X509', 'X.509'), 'nonsense\n',
    eacl('"*"') + 'access_id_CA X509 \'/C=DE\'\n'])
def test_signing_policies_that_are_not_understood(text):
    with pytest.raises(MalformedError):
        signing_policy.parse('ca.signing_policy', frozenset(),
                             text.encode())


@pytest.mark.parametrize('text, subject, expected', [
    (f'TO Issuer "{CA}" PERMIT Subject "/C=EU/O=Example Grid/.*"', ALICE,
     True),
    (f'TO Issuer "{CA}" PERMIT Subject "/C=EU/O=Example Grid/.*"', OTHER,
     False),
    (f'TO Issuer "{CA}" \\\n  PERMIT Subject \\\n "/C=EU/.*"', ALICE, True),
    (f'TO Issuer "{CA}" PERMIT Subject "/C=EU/.*"\n'
     f'TO Issuer "{CA}" DENY Subject "{ALICE}"', ALICE, False),
    (f'to issuer "{CA}" permit subject "/C=EU/O=Example"', ALICE, False),
    ('TO Issuer "/C=EU/CN=Another CA" PERMIT Subject ".*"', ALICE, None),
    (f'TO Issuer "{CA}" PERMIT Subject "/C=EU/(O=(Example|Other).*)?"',
     ALICE, True),
    (f'TO Issuer "{CA}" PERMIT Subject "/CN=a \\(b\\)+"', '/CN=a (b))',
     True),
    ('# nothing but a comment', ALICE, None),
])
def test_namespaces(text, subject, expected):
    assert permits('ca.namespaces', text + '\n', subject) is expected


def test_namespaces_of_a_ca_itself():
    text = 'TO Issuer SELF PERMIT Subject "/C=EU/O=Example Grid/.*"\n'
    own = frozenset({'ca', '1234abcd'})
    assert permits('ca.namespaces', text, ALICE, own) is True
    assert permits('ca.namespaces', text, OTHER, own) is False
    assert permits('ca.namespaces', text, ALICE, frozenset({'b'})) is None


@pytest.mark.parametrize('text', [
    f'TO Issuer "{CA}" PERMIT Subject "("\n', 'TO Issuer PERMIT\n',
    f'TO Issuer "{CA}" ALLOW Subject ".*"\n',
    f'TO Issuer "{CA}" PERMIT Subject ".*" \\',
    # Each could keep a search busy for years.
    f'TO Issuer "{CA}" PERMIT Subject "(a+)+b"\n',
    f'TO Issuer "{CA}" PERMIT Subject "(a|a)*b"\n',
    f'TO Issuer "{CA}" PERMIT Subject "(?x)(a+) +b"\n',
    f'TO Issuer "{CA}" PERMIT Subject "((a*){{30}}\\\\)b"\n'])
def test_namespaces_that_are_not_understood(text):
    with pytest.raises(MalformedError):
        signing_policy.parse('ca.namespaces', frozenset(), text.encode())


def test_of_whom_a_broken_file_speaks():
    text = eacl('"*"') + 'nonsense'
    assert signing_policy.mentioned(text.encode()) == (CA,)


def test_what_reads_like_another_name_is_forbidden_but_not_permitted():
    one = x509.Name([x509.NameAttribute(
        NameOID.COMMON_NAME, 'Alice/CN=proxy')])
    rule = f'TO Issuer "{CA}" {{}} Subject "/CN=Alice/CN=.*"\n'
    everybody = f'TO Issuer "{CA}" PERMIT Subject ".*"\n'
    two = '/CN=Alice/CN=proxy'
    for text, of_one, of_two in (
            (rule.format('PERMIT'), False, True),
            (everybody + rule.format('DENY'), False, False)):
        assert permits('ca.namespaces', text, one) is of_one
        assert permits('ca.namespaces', text, two) is of_two
    assert permits('ca.namespaces', everybody, one) is True


def test_each_ca_of_a_file_has_its_own_subjects():
    text = eacl('"/C=EU/*"', ca='/C=EU/CN=Another CA') + eacl(
        '"/C=DE/*"') + eacl('"/C=FR/*"', ca='/C=EU/CN=A third CA')
    assert permits('ca.signing_policy', text, '/C=DE/CN=x') is True
    assert permits('ca.signing_policy', text, '/C=FR/CN=x') is False
    assert permits('ca.signing_policy', text, '/C=EU/CN=x') is False


def test_a_glob_of_many_stars_is_quick():
    """Tried one after the other, its ways would take years to count."""
    subject = '/C=EU' + f'/OU={"a" * 60}' * 12
    text = eacl('"*' + 'a*' * 20 + 'b"')
    assert permits('ca.signing_policy', text, subject) is False
    assert permits('ca.signing_policy', text, f'{subject}/CN=b') is True


def test_a_name_that_is_very_long_matches_nothing():
    long = ALICE + '/OU=x' * 300
    assert permits('ca.signing_policy', eacl('*'), long) is False


@given(st.sampled_from(['a.signing_policy', 'a.namespaces']),
       st.one_of(st.binary(max_size=200), st.text(
           'TOIssuer"SELFPERMIT DENYSubject\\\n\'#*', max_size=120).map(
               str.encode)))
def test_nothing_but_our_own_errors(name, data):
    try:
        file = signing_policy.parse(name, frozenset(), data)
    except MalformedError:
        assert signing_policy.mentioned(data) is not None
    else:
        assert file.name == name
