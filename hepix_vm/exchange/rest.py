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

"""Asking a service of OpenStack by its API, and what is read of it."""

from collections.abc import Collection
from collections.abc import Mapping
import contextlib
import html
import json
import re
from typing import Any

from keystoneauth1 import adapter as keystone_adapter
from keystoneauth1 import exceptions
import requests

from hepix_vm.errors import ServiceError
from hepix_vm.exchange.oneline import clean

_PIECE = 64 * 1024  # bytes
# Of what a refusal says: the gate has several reasons, each with a remedy.
_LONGEST = 2000  # characters
_ERRNO = re.compile(r'\[Errno -?[0-9]+\] ([^\'")]+)', re.ASCII)
_ADMIN = {403: 'Give the account in [service_credentials] the role admin.'}
# What to do about services that are asked with [service_credentials], by
# the status of an answer; 0 is none, and -1 any other.
REMEDIES: Mapping[str, Mapping[int, str]] = {
    'Keystone': _ADMIN | {
        0: 'Look whether Keystone runs, and correct [service_credentials] '
           'of hepix-vm.conf.',
        -1: 'Look into the log of Keystone.'},
    'Nova': _ADMIN | {
        0: 'Look whether Nova runs and is in Keystone\'s catalogue, or give '
           'compute_endpoint in [service_credentials] of hepix-vm.conf.',
        -1: 'Look into the log of nova-api.'},
    'Cinder': _ADMIN | {
        0: 'Look whether Cinder runs and is in Keystone\'s catalogue, or '
           'give block_storage_endpoint in [service_credentials] of '
           'hepix-vm.conf.',
        -1: 'Look into the log of Cinder.'}}
_NO_ANSWER = (exceptions.ClientException, requests.RequestException)


class Rest:
    """A service of OpenStack.

    :param adapter: the way to it, of :mod:`hepix_vm.credentials`
    :param name: what messages call it
    :param remedies: other than those of :data:`REMEDIES`
    """

    def __init__(self, adapter: keystone_adapter.Adapter, name: str,
                 remedies: Mapping[int, str] | None = None) -> None:
        self._adapter = adapter
        self._name = name
        self._remedies = remedies or REMEDIES[name]

    def request(self, method: str, path: str,
                accepted: Collection[int] = (200,),
                **more: Any) -> requests.Response:
        """Ask the service.

        :param more: as keystoneauth1 takes it
        :raises ServiceError: it does not answer as it should
        """
        try:
            response: requests.Response = self._adapter.request(
                path, method, **more)
            status = response.status_code
            if status in accepted:
                return response
            with contextlib.closing(response):
                words = _words(response)
        except _NO_ANSWER as error:
            raise self._unreachable(error) from error
        raise ServiceError(
            f'{self._name} answers {status} to {method} '
            f'{path.partition("?")[0]}{words}.', status,
            self._remedies.get(status, self._remedies[-1]))

    def document(self, method: str, path: str,
                 accepted: Collection[int] = (200,),
                 **more: Any) -> Mapping[str, Any]:
        """Ask the service, and return the object that it answers.

        :raises ServiceError: it does not answer as it should
        """
        return self._parsed(
            self.request(method, path, accepted, **more).content)

    def bounded(self, path: str, longest: int,
                headers: Mapping[str, str] | None = None,
                ) -> Mapping[str, Any] | None:
        """Return the object at a path; None if it has more bytes than that.

        :raises ServiceError: the service does not answer as it should
        """
        response = self.request('GET', path, stream=True, log=False,
                                headers=dict(headers or {}))
        data = bytearray()
        with contextlib.closing(response):
            try:
                for piece in response.iter_content(_PIECE):
                    data += piece
                    if len(data) > longest:
                        return None
            except _NO_ANSWER as error:
                raise self._unreachable(error) from error
        return self._parsed(data)

    def strange(self) -> ServiceError:
        """Return the error that something else answers."""
        return ServiceError(f'What answers is not {self._name}.', 0,
                            self._remedies[0])

    def _parsed(self, data: bytes | bytearray) -> Mapping[str, Any]:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self.strange() from error
        if not isinstance(document, dict):
            raise self.strange()
        return document

    def _unreachable(self, error: Exception) -> ServiceError:
        return ServiceError(f'{self._name} cannot be asked: '
                            f'{cause_of(error)}', 0, self._remedies[0])


def cause_of(error: Exception) -> str:
    """Return what an error says, in one line and without passwords."""
    # URLs may carry them.
    words = re.sub(r'//[^/@\s]*@', '//', str(error))
    # What libraries put around it is longer than a line.
    found = _ERRNO.search(words)
    return clean(f'{found[1]}.' if found else words)


def _words(response: requests.Response) -> str:
    """Return what a refusal says, without the page around it."""
    text = response.text
    if 'html' in response.headers.get('Content-Type', ''):
        text = re.sub(r'(?s)<(head|h1)>.*?</\1>', ' ', text)
        text = html.unescape(re.sub(r'<[^>]*>', ' ', text))
    words = clean(text, _LONGEST).rstrip('.')
    return f': {words}' if words else ''
