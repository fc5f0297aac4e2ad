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

"""Folders of trust anchors, and what is found against signers."""

import datetime

from hepix_vm.trust import anchors
from hepix_vm.trust.anchors import ChainSettings

NOW = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
GRID = '/C=EU/O=Example Grid'
CA = f'{GRID}/CN=Example Grid CA'
OTHER_CA = '/C=EU/O=Other Grid/CN=Other CA'


def files(authority, crl=None, **options):
    # An empty CRL is false.
    return authority.files(
        authority.crl(now=NOW) if crl is None else crl, **options)


def codes(folder, signer, *certificates, at=NOW, **settings):
    """Return the codes against a signer, each once."""
    reasons = anchors.load(folder).check_chain(
        signer.certificate, [c.certificate for c in certificates], at,
        ChainSettings(**settings))
    return {reason.code for reason in reasons}
