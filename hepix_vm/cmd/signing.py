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

"""The options of commands that sign, and the signer whom they name."""

import argparse
import getpass
import os
import warnings

from hepix_vm.errors import ConfigError
from hepix_vm.exchange import signer
from hepix_vm.exchange.signer import Signer
from hepix_vm.gate import utcnow

_GLOBUS = os.path.join('~', '.globus')
_CERTIFICATE = os.path.join(_GLOBUS, 'usercert.pem')
_KEY = os.path.join(_GLOBUS, 'userkey.pem')
_PKCS12 = os.path.join(_GLOBUS, 'usercred.p12')


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say who signs."""
    parser.add_argument(
        '--certificate', metavar='FILE',
        help=f'the endorser\'s, in PEM ({_CERTIFICATE})')
    parser.add_argument('--key', metavar='FILE',
                        help=f'its key, in PEM ({_KEY})')
    parser.add_argument(
        '--pkcs12', metavar='FILE', help='both in a PKCS#12 file '
        f'({_PKCS12}, where the two others are not)')
    parser.add_argument(
        '--passphrase-file', metavar='FILE',
        help='file with the passphrase of the key, or such as /dev/fd/3; '
             'by default it is asked for')


def signer_of(given: argparse.Namespace, purposes: frozenset[str]) -> Signer:
    """Return who signs, by the options of :func:`add_options`.

    :param purposes: extended key usages that are accepted
    :raises ConfigError: certificate or key cannot be read
    :raises TrustError: the certificate may not sign
    """
    def ask(prompt: str) -> bytes:
        if given.passphrase_file:
            # An editor ends the line; a passphrase has no line break.
            return signer.read_secret(given.passphrase_file).rstrip(b'\r\n')
        return _ask(prompt).encode()

    remedy = ('Correct the passphrase file; if it is right, the file of the '
              'key is damaged.' if given.passphrase_file
              else signer.TYPE_AGAIN)
    both = _pkcs12(given)
    found = (signer.from_pkcs12(both, ask, remedy) if both
             else signer.from_pem(
                 os.path.expanduser(given.certificate or _CERTIFICATE),
                 os.path.expanduser(given.key or _KEY), ask, remedy))
    signer.check(found, utcnow(), purposes)
    return found


def _pkcs12(given: argparse.Namespace) -> str:
    """Return which PKCS#12 file is meant, or nothing.

    :raises ConfigError: nobody can tell who signs
    """
    if given.certificate or given.key:
        if given.pkcs12:
            raise ConfigError(
                '--pkcs12 has certificate and key, and one of them is given '
                'besides.', remedy='Give --certificate and --key, or '
                                   '--pkcs12.')
        return ''
    if given.pkcs12:
        return str(given.pkcs12)
    pem, both = map(os.path.expanduser, (_CERTIFICATE, _PKCS12))
    if os.path.exists(pem):
        return ''
    if os.path.exists(both):
        return both
    raise ConfigError(
        f'There is neither {_CERTIFICATE} nor {_PKCS12}.',
        remedy='Give the endorser\'s certificate and key with --certificate '
               'and --key, or with --pkcs12.')


def _ask(prompt: str) -> str:
    """Ask for a passphrase at the terminal.

    :raises ConfigError: there is none, or it would show what is typed
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error', getpass.GetPassWarning)
            return getpass.getpass(prompt)
    except (getpass.GetPassWarning, EOFError, OSError) as error:
        raise ConfigError(
            'There is no terminal at which to ask for the passphrase.',
            remedy='Give it with --passphrase-file.') from error
