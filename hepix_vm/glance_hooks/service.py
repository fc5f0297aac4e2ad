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

"""The gate of this glance-api process, shared by filter and plugin."""

from collections.abc import Collection
import functools

from keystoneauth1 import adapter
from oslo_config import cfg
from oslo_log import log as logging

from hepix_vm import credentials
from hepix_vm.gate import Gate
from hepix_vm.glance_hooks.ledger import GlanceLedger
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import name_of
from hepix_vm.trust.ledger import Record

LOG = logging.getLogger(__name__)


@functools.cache
def gate() -> Gate:
    """Return the gate, which keeps what it read of the site's files."""
    return Gate('glance-api', cfg.CONF, _search, write=_write)


def ledger() -> GlanceLedger:
    """Return the ledger in this Glance.

    :raises ConfigError: the settings cannot be read
    """
    return GlanceLedger(gate().settings.ledger_owner)


@functools.cache
def compute() -> adapter.Adapter:
    """Return the way to Nova, which keeps its token.

    :raises ConfigError: there is no account, or the settings cannot be read
    """
    return credentials.adapter(gate().conf, credentials.COMPUTE)


def _search(names: Collection[str]) -> list[Record]:
    records = ledger().search(names)
    if any(record.fact is Fact.INSTALLED for record in records):
        return records
    return [*records, _note_installation()]


def _write(record: Record) -> None:
    ledger().write(record)


def begin() -> None:
    """Note that the gate stands, before the first image comes."""
    try:
        _search({name_of(None, '')})
    except Exception:  # a database may raise what it likes
        LOG.exception('The ledger cannot be read; until it can, images are '
                      'refused')


def _note_installation() -> Record:
    """Record since when the gate stands; images that are older are legacy.

    Processes that begin at once each write a record; the oldest counts.
    """
    record = Record(Fact.INSTALLED, None, '', 'The gate began to stand.',
                    'glance-api', gate().now())
    ledger().write(record)
    return record
