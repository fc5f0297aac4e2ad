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

"""Who signs host certificates: a command of the site, or a service.

Both get a request (PKCS#10, PEM) and give a certificate (PEM). No secret
goes there, and nothing that they say is repeated but what a check let
pass: what a command of the site prints may be secret.
"""

from collections.abc import Sequence
import contextlib
import http.client
import os
import select
import signal
import ssl
import subprocess
import time
from typing import Any
import urllib.parse

from hepix_vm import deadline
from hepix_vm.errors import ContextError

MAX_ANSWER = 64 * 1024  # bytes

# Nothing of nova-compute's environment; programs are found as usual.
_ENVIRONMENT = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:'
                        '/sbin:/bin', 'LC_ALL': 'C.UTF-8'}

_OK = 200
_HEADERS = {'Content-Type': 'application/pkcs10',
            'Accept': 'application/pem-certificate-chain',
            'User-Agent': 'hepix-vm', 'Connection': 'close'}


def by_command(command: Sequence[str], request: bytes,
               seconds: int) -> bytes:
    """Return what a command answers to a request.

    :param command: program and arguments; no shell reads them
    :param seconds: for how long it may run; then it is killed, with all
        that it started
    :raises ContextError: it cannot be run, or fails
    """
    end = time.monotonic() + seconds
    try:
        process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=_ENVIRONMENT, cwd='/', bufsize=0,
            start_new_session=True)
    except OSError as error:
        raise _of_command(command, f'cannot be run: {error.strerror}'
                          ) from error
    try:
        answer = _talk(process, request, end)
        status = 0 if len(answer) > MAX_ANSWER else process.wait(
            max(0, end - time.monotonic()))
    except (subprocess.TimeoutExpired, TimeoutError):
        raise _of_command(command, f'took longer than {seconds} seconds'
                          ) from None
    finally:
        _end(process)
    if len(answer) > MAX_ANSWER:
        raise _of_command(command, f'answered with more than {MAX_ANSWER} '
                                   f'bytes')
    if status:
        raise _of_command(command, f'failed with status {status}')
    return answer


def by_https(address: str, request: bytes, seconds: int, ca_file: str,
             client: Sequence[str]) -> bytes:
    """Return what a service answers to a request.

    What the environment says of proxies and passwords is not looked at,
    and no redirect is followed.

    :param address: its URL
    :param seconds: for how long it may take
    :param ca_file: the CAs that its certificate may be of; those of the
        system if empty
    :param client: the files of our certificate and key, or nothing
    :raises ContextError: it gives no answer, or refuses
    """
    context = _context(ca_file, client)
    host = urllib.parse.urlsplit(address).hostname or ''
    try:
        answer = deadline.within(seconds, lambda: _posted(
            address, request, seconds, context))
    except TimeoutError as error:
        raise _of_service(host, f'took longer than {seconds} seconds'
                          ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _of_service(host, f'gave no answer: {_reason(error)}'
                          ) from error
    if len(answer) > MAX_ANSWER:
        raise _of_service(host, f'answered with more than {MAX_ANSWER} '
                                f'bytes')
    return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what still runs, and wait for no one who cannot be killed."""
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.poll()
        except PermissionError:
            # It became another user, by sudo.
            return
        process.wait()


def _posted(address: str, request: bytes, seconds: int,
            context: ssl.SSLContext) -> bytes:
    end = time.monotonic() + seconds
    parts = urllib.parse.urlsplit(address)
    host = parts.hostname or ''
    target = urllib.parse.urlunsplit(('', '', parts.path or '/',
                                      parts.query, ''))
    connection = http.client.HTTPSConnection(
        host, parts.port or http.client.HTTPS_PORT, timeout=seconds,
        context=context)
    with contextlib.closing(connection):
        connection.request('POST', target, request, _HEADERS)
        # The connection lets go of it as soon as there is an answer.
        sock = connection.sock
        response = connection.getresponse()
        if response.status != _OK:
            raise _of_service(host, f'answered with HTTP status '
                                    f'{response.status}')
        return _body(sock, response, end)


def _talk(process: Any, request: bytes, end: float) -> bytes:
    # A pipe takes all of it at once; who does not read it has an answer
    # without.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(request)
    process.stdin.close()
    answer = b''
    while len(answer) <= MAX_ANSWER:
        left = end - time.monotonic()
        ready, _, _ = select.select([process.stdout], [], [], max(0, left))
        if not ready:
            raise TimeoutError
        more = process.stdout.read(MAX_ANSWER + 1 - len(answer))
        if not more:
            return answer
        answer += more
    return answer


def _context(ca_file: str, client: Sequence[str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
        if client:
            # Nobody is there who could be asked for a password.
            context.load_cert_chain(client[0], client[1], password='')
    except (OSError, ValueError) as error:
        raise ContextError(
            f'The signer of host certificates cannot be asked with ca_file, '
            f'client_certificate and client_key: {_reason(error)}.',
            remedy='Look at these files: PEM, a key without a password that '
                   'fits, and nova-compute may read them.') from error
    return context


def _body(sock: Any, response: http.client.HTTPResponse,
          end: float) -> bytes:
    answer = b''
    while len(answer) <= MAX_ANSWER and not response.isclosed():
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        more = response.read1(MAX_ANSWER + 1 - len(answer))
        if not more:
            break
        answer += more
    if response.length and len(answer) <= MAX_ANSWER:
        raise http.client.IncompleteRead(b'', response.length)
    return answer


def _reason(error: Exception) -> str:
    """Return why there was no answer, in words that are the system's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f'its certificate is not accepted ({error.verify_message})'
    if isinstance(error, ssl.SSLError):
        return error.reason or 'OpenSSL says no more'
    return getattr(error, 'strerror', None) or type(error).__name__


def _of_command(command: Sequence[str], what: str) -> ContextError:
    return ContextError(
        f'The command that signs host certificates, {command[0]}, {what}.',
        remedy='Run it as the user of nova-compute, with a request as its '
               'standard input: it has to write a certificate.')


def _of_service(host: str, what: str) -> ContextError:
    return ContextError(
        f'The service that signs host certificates, on {host}, {what}.',
        remedy='Look for the cause in its log, and at url, ca_file and '
               'client_certificate in the section hostcert of '
               'context.yaml.')
