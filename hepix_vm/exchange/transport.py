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

"""Connections to whoever publishes: TLS, proxies, and what goes wrong."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import functools
import ipaddress
import os
import socket
import ssl
import stat
from typing import Any
from typing import NamedTuple
import urllib.parse

import requests
import requests.adapters
import urllib3

from hepix_vm.errors import FetchError
from hepix_vm.subscriptions import IGTF
from hepix_vm.subscriptions import SYSTEM

# Seconds for which nothing may come.
SILENCE = 30.0
HEADERS = {'Accept': '*/*', 'Accept-Encoding': 'identity',
           'Connection': 'close', 'User-Agent': 'hepix-vm'}
ADDRESS = ('Look at url in subscriptions.yaml, or ask who publishes it; '
           'the next run tries again.')
CREDENTIALS = 'Look at token_file in subscriptions.yaml.'

_NETWORK = 'Look at the server, the network and the proxies'
# By which requests and others name CA certificates.
_BUNDLE = 'REQUESTS_CA_BUNDLE'
_LONGEST = 200  # characters of an address in a message
_LONGEST_SECRET = 1024  # characters
_PORTS = {'https': 443, 'http': 80}
_NAT64 = ipaddress.IPv6Network('64:ff9b::/96')  # RFC 6052
# All that IANA gave to the Internet so far (RFC 4291, 2.4).
_GLOBAL_UNICAST = ipaddress.IPv6Network('2000::/3')
# What is not of it, or in part, and what each release of Python's ipaddress
# sees in another way: protocols (RFC 6890, 2928), relays that are no more
# (RFC 7526), documents (RFC 9637).
_SPECIAL = tuple(map(ipaddress.ip_network, (
    '192.0.0.0/24', '2001::/23', '192.88.99.0/24', '3fff::/20')))


class Advice(NamedTuple):
    """What somebody can do who waits for an answer in vain.

    :param address: where the server is at fault, or its address
    :param network: where it cannot be reached
    :param certificates: where it cannot be verified
    """

    address: str
    network: str
    certificates: str


SUBSCRIBER = Advice(
    ADDRESS, f'{_NETWORK}; the next run tries again.',
    'Look at ca_bundle in subscriptions.yaml.')
PUBLISHER = Advice(
    'Look at the address, and into the log of the web server.',
    f'{_NETWORK}.', 'Look whether its certificate is for that name and of a '
    'CA that is known (--tls-ca).')


class PassingError(FetchError):
    """What may be over in a moment.

    :param pause: seconds for which the server asks us to wait
    """

    def __init__(self, message: str, remedy: str,
                 pause: float = 0.0) -> None:
        super().__init__(message, remedy)
        self.pause = pause


def shown(url: str) -> str:
    """Return an address as messages have it: no password, no query."""
    try:
        parts = urllib.parse.urlsplit(url)
        place = f'{parts.scheme}://{parts.netloc.rpartition("@")[2]}' + (
            parts.path)
    except ValueError:
        return 'An address'
    return ascii(place[:_LONGEST])[1:-1]


def request(method: str, url: str, headers: Mapping[str, str],
            data: bytes | None = None, advice: Advice = SUBSCRIBER,
            ) -> requests.PreparedRequest:
    """Return what asks at an address, without a password so far.

    :raises FetchError: what is asked there depends on who reads the
        address, or a password is in it
    :raises requests.RequestException: it is no address
    """
    # Of all this an address has nothing (RFC 3986, 2); of a user name it
    # should have none (RFC 9110, 4.2.4).
    if not url.isprintable() or ' ' in url or '\\' in url or (
            '@' in urllib.parse.urlsplit(url).netloc):
        raise FetchError(
            f'{shown(url)} is not asked: its address has a user name, a '
            f'backslash, a blank or a control character, by which it may '
            f'lead elsewhere than it seems.', advice.address)
    return requests.Request(method, url, headers, data=data).prepare()


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return what must be the same for a password to be sent along.

    That is where requests goes, which reads some addresses in its own way.
    """
    asked = requests.Request('GET', url).prepare().url or ''
    parts = urllib.parse.urlsplit(asked)
    return (parts.scheme, parts.hostname,
            parts.port or _PORTS.get(parts.scheme))


def secret(path: str) -> str:
    """Return what a file of ours says that nobody else may read.

    :raises FetchError: everybody may, or it cannot be read
    """
    try:
        with open(path, encoding='ascii') as file:
            if os.fstat(file.fileno()).st_mode & stat.S_IROTH:
                raise FetchError(f'{path} may be read by everybody, and is '
                                 f'not used.', f'chmod o-rwx {path}, and '
                                 f'change what is in it.')
            found = file.read(_LONGEST_SECRET).strip()
    except OSError as error:
        raise FetchError(f'{path} cannot be read: {error.strerror}.',
                         CREDENTIALS) from error
    except UnicodeDecodeError:
        found = ''
    if not found.isprintable() or not all(found.partition(':')):
        raise FetchError(f'{path} does not say user:password on one line.',
                         CREDENTIALS)
    return found


def adapter(ca_bundle: str, trust_anchors: str = '', certificate: str = '',
            advice: Advice = SUBSCRIBER, internal: bool = True,
            ) -> requests.adapters.HTTPAdapter:
    """Return what sends requests to servers whose certificate is good.

    :param ca_bundle: as subscriptions.yaml has it
    :param trust_anchors: folder of the CAs of the grid
    :param certificate: PEM file with the certificate and key by which
        servers know us; without it they do not
    :param internal: whether servers may be asked that are not of the
        Internet; proxies may in any case
    :raises FetchError: the CAs, or the certificate, cannot be read
    """
    place = {SYSTEM: os.environ.get(_BUNDLE, ''),
             IGTF: trust_anchors}.get(ca_bundle, ca_bundle)
    try:
        context = _context(place, certificate)
    except OSError as error:
        # OpenSSL's own are errors of the system, too.
        raise FetchError(
            f'The CA certificates in {place} cannot be read: '
            f'{error.strerror or "there are none"}.', advice.certificates
            ) from error
    return _Adapter(context, internal)


@functools.lru_cache
def _context(place: str, certificate: str) -> ssl.SSLContext:
    """Return how servers are verified; a run reads a bundle once.

    :param place: file or folder of the CAs; those of the system if empty
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not place:
        context.set_default_verify_paths()
    elif stat.S_ISDIR(os.stat(place).st_mode):
        context.load_verify_locations(capath=place)
    else:
        context.load_verify_locations(cafile=place)
    if certificate:
        _load_own(context, certificate)
    return context


def _load_own(context: ssl.SSLContext, path: str) -> None:
    def no_passphrase() -> str:
        # OpenSSL would ask at the terminal, if there is one.
        raise FetchError(f'The key in {path} has a passphrase.',
                         'Give a file whose key has none, and which nobody '
                         'else can read.')

    try:
        context.load_cert_chain(path, password=no_passphrase)
    except OSError as error:
        raise FetchError(
            f'{path} does not hold a certificate and its key: '
            f'{getattr(error, "reason", "") or error.strerror}.',
            'Give a PEM file that has both.') from error


class _Adapter(requests.adapters.HTTPAdapter):
    """Verifies servers by the CAs that the site chose, and no others."""

    def __init__(self, context: ssl.SSLContext, internal: bool) -> None:
        self._context = context
        self._internal = internal
        super().__init__()

    def init_poolmanager(self, *given: Any, **more: Any) -> None:
        super().init_poolmanager(*given, ssl_context=self._context, **more)
        if not self._internal:
            self.poolmanager.pool_classes_by_scheme = _PUBLIC

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        return super().proxy_manager_for(
            proxy, ssl_context=self._context, **more)

    def cert_verify(self, *unused: Any) -> None:
        """Do not add the CAs that requests brings along."""


class _Public(urllib3.connection.HTTPConnection):
    """Sends nothing to an address that is not of the Internet.

    Where it leads is known for sure only when it leads there: a name may
    mean another address each time.
    """

    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        address = connection.getpeername()[0]
        if not is_public(address):
            connection.close()
            raise FetchError(
                f'{ascii(self.host)[1:-1]} is at the internal address '
                f'{address}; nothing is fetched from there on the word of a '
                f'list or a redirect.', 'If images of the list are meant to '
                'come from there, say internal_addresses: true in its block '
                'of subscriptions.yaml.')
        return connection


class _PublicTLS(_Public, urllib3.connection.HTTPSConnection):
    """The same, by TLS."""


class _PublicPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Public


class _PublicTLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _PublicTLS


_PUBLIC = {'http': _PublicPool, 'https': _PublicTLSPool}


def is_public(text: str) -> bool:
    """Return whether an IP address is one of the Internet.

    What carries an IPv4 address is what that is.
    """
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            carried = ipaddress.IPv4Address(address.packed[-4:])
        if not carried and address not in _GLOBAL_UNICAST:
            return False
        address = carried or address
    return address.is_global and not address.is_multicast and not any(
        address in network for network in _SPECIAL)


@contextlib.contextmanager
def translated(url: str, advice: Advice = SUBSCRIBER) -> Iterator[None]:
    """Say in our words what goes wrong on the way to an address.

    Those of the libraries repeat the address whole.

    :raises FetchError: in place of what they raise
    """
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError,
            OSError, ValueError) as error:
        raise _of(error, url, advice) from None


def _of(error: Exception, url: str, advice: Advice) -> FetchError:
    where = f'{shown(url)} cannot be fetched'
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return FetchError(f'{where}: its certificate is not accepted '
                              f'({cause.verify_message}).',
                              advice.certificates)
    for cause in causes:
        if isinstance(cause, (ssl.SSLError, urllib3.exceptions.SSLError)):
            return FetchError(f'{where}: TLS fails '
                              f'({getattr(cause, "reason", "") or "?"}).',
                              advice.network)
    for kind, words in _PASSING:
        for cause in causes:
            if isinstance(cause, kind):
                said = words or getattr(cause, 'strerror', '')
                if said:
                    return PassingError(f'{where}: {said}.', advice.network)
    return FetchError(f'{where}: {type(error).__name__}.', advice.address)


# What is looked for, in that order, and what is said of it; the system's own
# words where there are none.
_PASSING: tuple[tuple[type[Exception], str], ...] = (
    (urllib3.exceptions.ProxyError, 'the proxy does not let us through'),
    (socket.gaierror, 'its name is not known'),
    (OSError, ''),
    (TimeoutError, 'it is silent'),
    (urllib3.exceptions.TimeoutError, 'it is silent'),
    (urllib3.exceptions.ProtocolError, 'it breaks off, or is not HTTP'),
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it was made from, however it is kept."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [inner for inner in (
            *each.args, getattr(each, 'reason', None), each.__cause__,
            each.__context__) if isinstance(inner, BaseException)]
