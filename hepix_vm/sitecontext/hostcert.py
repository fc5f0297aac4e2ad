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

"""A host certificate for each server, made when its drive is.

The key is made here and is on the drive, nowhere else: in no file, no
argument, no environment, no record.
"""

import os
import stat
from typing import Any
from typing import NamedTuple
from typing import TYPE_CHECKING
import urllib.parse

from hepix_vm.context.bundle import Bundle
from hepix_vm.context.bundle import File
from hepix_vm.context.facts import Facts
from hepix_vm.errors import ConfigError
from hepix_vm.errors import ContextError
from hepix_vm.sitecontext import record
from hepix_vm.sitecontext.sources import ContextSource
from hepix_vm.yamlfile import Node

if TYPE_CHECKING:
    from hepix_vm.context import hostcert
    from hepix_vm.sitecontext.file import SiteContext

CERTIFICATE = 'hostcert.pem'
KEY = 'hostkey.pem'

_OF_URL = ('ca_file', 'client_certificate', 'client_key')
_KEYS = frozenset({'domain', 'name', 'key', 'lifetime', 'timeout', 'command',
                   'url', *_OF_URL})
_LIFETIME = 720  # hours
_MAX_LIFETIME = 9600  # hours; no browser takes more than 398 days
_TIMEOUT = 20  # seconds
_RSA_BITS = 2048


class Settings(NamedTuple):
    """What stands under ``hostcert`` in ``context.yaml``.

    :param name: how servers are named
    :param lifetime: hours for which a certificate may be valid
    :param timeout: seconds that the signer has
    :param command: of the signer; empty if it is a service
    :param url: of the signer; empty if it is a command
    :param client: the files of our certificate and key, or nothing
    :param state_dir: of the journal; without it nothing is recorded
    """

    domain: str
    name: str
    key: str
    lifetime: int
    timeout: int
    command: list[str]
    url: str
    ca_file: str
    client: list[str]
    state_dir: str


class HostCert(ContextSource):
    """A certificate in the name of the server, and its key."""

    @staticmethod
    def compile(site: 'SiteContext') -> Any:
        """Return the settings.

        :raises ConfigError: there are none, or they cannot be used
        """
        if site.hostcert is None:
            raise ConfigError(
                'There is no section hostcert, and context_sources names '
                'that source.', site.stamps[0][0],
                remedy='Write hostcert: with domain, and with command or '
                       'url; or take hostcert out of context_sources.')
        settings = _settings(site.hostcert)
        if site.settings is None:
            return settings._asdict()
        if settings.timeout >= site.settings.timeout:
            raise site.hostcert.value.get('timeout', site.hostcert).error(
                f'The timeout of {settings.timeout} seconds must be below '
                f'context_timeout, which is {site.settings.timeout}.')
        return settings._replace(
            state_dir=site.settings.state_dir)._asdict()

    @staticmethod
    def give(compiled: Any, facts: Facts) -> Bundle:
        """Return a new key, and its certificate.

        :raises ContextError: nobody signs it, or what came is not what was
            asked for
        """
        import datetime

        from cryptography.hazmat.primitives import serialization

        from hepix_vm.context import hostcert

        settings = Settings(**compiled)
        name = hostcert.name_for(facts, settings.name, settings.domain)
        key = _new_key(settings.key)
        answer = _signed(settings, _request(key, name))
        issued = hostcert.check(
            answer, key.public_key(), name,
            datetime.datetime.now(datetime.UTC),
            datetime.timedelta(hours=settings.lifetime))
        if settings.state_dir:
            _journal(settings.state_dir, facts.uuid, name, issued)
        return Bundle(files={
            CERTIFICATE: File(issued.chain, 0o644),
            KEY: File(key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption()), 0o400)})


def _new_key(kind: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric import rsa

    if kind == 'ec':
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, _RSA_BITS)


def _request(key: Any, name: str) -> bytes:
    """Return a request (PKCS#10, PEM) for a name."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives import serialization
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(
        subject).add_extension(names, critical=False).sign(
            key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def _signed(settings: Settings, request: bytes) -> bytes:
    from hepix_vm.sitecontext import signers

    if settings.command:
        return signers.by_command(settings.command, request,
                                  settings.timeout)
    return signers.by_https(settings.url, request, settings.timeout,
                            settings.ca_file, settings.client)


def _journal(state_dir: str, server: str, name: str,
             issued: 'hostcert.Issued') -> None:
    """Record that a certificate was issued."""
    from hepix_vm.trust.imagelist import format_time
    from hepix_vm.trust import names

    record.write(
        state_dir, 'hostcert', server=server, name=name,
        serial=f'{issued.serial:X}',
        not_after=format_time(issued.not_after),
        issuer=names.one_line(issued.issuer))


def _settings(node: Node) -> Settings:
    from hepix_vm.context import hostcert

    keys = node.mapping(_KEYS, required=('domain',))
    domain, name = keys['domain'].text(), hostcert.BY_UUID
    if 'name' in keys:
        name = keys['name'].choice(hostcert.NAMES)
    try:
        hostcert.check_domain(domain, name)
    except ContextError as error:
        raise keys['domain'].error(error.message) from error
    command, url = _signer(node, keys)
    return Settings(
        domain, name,
        keys['key'].choice(('rsa', 'ec')) if 'key' in keys else 'rsa',
        _number(keys, 'lifetime', _LIFETIME, _MAX_LIFETIME),
        _number(keys, 'timeout', _TIMEOUT, 3600), command, url,
        _file(keys['ca_file']) if 'ca_file' in keys else '',
        _client(keys), '')


def _signer(node: Node, keys: dict[str, Node]) -> tuple[list[str], str]:
    if ('command' in keys) == ('url' in keys):
        raise node.error('Exactly one of command and url is expected here: '
                         'it signs the certificates.')
    if 'url' in keys:
        return [], _url(keys['url'])
    for key in _OF_URL:
        if key in keys:
            raise keys[key].error(f'{key} is of use with url only.')
    words = keys['command'].items()
    if not words:
        raise keys['command'].error('A list is expected here: a program and '
                                    'its arguments.')
    return [_file(words[0], stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH),
            *(word.text() for word in words[1:])], ''


def _url(node: Node) -> str:
    value = node.text()
    try:
        parts = urllib.parse.urlsplit(value)
        usable = parts.port != 0 and parts.hostname
    except ValueError:
        usable = None
    if not usable or parts.scheme != 'https' or parts.fragment or (
            not value.isascii() or not value.isprintable() or ' ' in value):
        raise node.error('A URL that begins with https:// is expected '
                         'here.')
    if '@' in parts.netloc:
        raise node.error('A password does not belong here; let the service '
                         'ask for a client_certificate.')
    return value


def _number(keys: dict[str, Node], key: str, default: int,
            limit: int) -> int:
    if key not in keys:
        return default
    value = keys[key].value
    if type(value) is not int or not 1 <= value <= limit:
        raise keys[key].error(f'A number from 1 to {limit} is expected '
                              f'here.')
    return value


def _client(keys: dict[str, Node]) -> list[str]:
    wanted = _OF_URL[1:]
    named = [key for key in wanted if key in keys]
    if not named:
        return []
    if len(named) == 1:
        raise keys[named[0]].error('client_certificate and client_key are '
                                   'expected together.')
    files = [_file(keys[key]) for key in wanted]
    if os.stat(files[1]).st_mode & stat.S_IROTH:
        raise keys['client_key'].error(
            f'Everybody may read {files[1]}; take that away: chmod o-r.')
    return files


def _file(node: Node, needed: int = 0) -> str:
    """Read the path of a file that there is.

    :param needed: permissions of which it must have one
    """
    path = node.text()
    if not os.path.isabs(path):
        raise node.error('A path that begins with / is expected here.')
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise node.error(f'{path} cannot be used: {error.strerror}.'
                         ) from error
    if not stat.S_ISREG(mode) or needed and not mode & needed:
        raise node.error(f'{path} is no {"program" if needed else "file"}.')
    if mode & stat.S_IWOTH:
        raise node.error(f'Everybody may write {path}; take that away: '
                         f'chmod o-w.')
    return path
