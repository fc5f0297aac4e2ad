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

"""What the tests of fetching have in common."""

import dataclasses
import traceback

import pytest

from hepix_vm.errors import FetchError
from hepix_vm.exchange import fetch
from hepix_vm.exchange.fetch import Fetcher
from hepix_vm.exchange.fetch import Limits
from hepix_vm.exchange.fetch import Validators
from hepix_vm.exchange import transport
from hepix_vm.subscriptions import Following

BODY = b'a signed list\n' * 1000
TOKEN = 'reader:s3cret'
LIMITS = Limits(30, 0, 100_000)
# Far below what a test may take, and far above what an answer takes.
SHORT = dataclasses.replace(LIMITS, seconds=1)


def prepare(monkeypatch):
    """Forget what the environment says, and wait for less long."""
    for name in ('http_proxy', 'https_proxy', 'all_proxy', 'no_proxy',
                 'REQUESTS_CA_BUNDLE', 'SSL_CERT_FILE', 'SSL_CERT_DIR'):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    transport._context.cache_clear()
    monkeypatch.setattr(fetch, '_PAUSE', 0.05)


def get(url, bundle='system', limits=LIMITS, validators=None, anchors='',
        **following):
    return Fetcher(Following(url, ca_bundle=bundle, **{
        'internal': True, **following}), anchors, limits).get(
            validators or Validators())


def failed(url, bundle='system', limits=LIMITS, **more):
    """Return what is said of a list that does not come."""
    with pytest.raises(FetchError) as caught:
        get(url, bundle, limits, **more)
    assert caught.value.remedy
    # Of what --debug shows, too.
    assert 's3cret' not in ''.join(
        traceback.format_exception(caught.value))
    return caught.value.message
