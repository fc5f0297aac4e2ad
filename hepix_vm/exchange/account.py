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

"""Whether Glance tells the account of hepix-vm everything."""

from oslo_config import cfg

from hepix_vm import credentials
from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.ledger import LedgerCopy
from hepix_vm.findings import Found
from hepix_vm.findings import Severity
from hepix_vm import opts

_TIMEOUT = 10  # seconds


def check(conf: cfg.ConfigOpts, what: str, ledger: bool = True) -> Found:
    """Look whether Glance shows the account all images, and the ledger.

    :param conf: as :func:`hepix_vm.config.load` returns it
    :param what: what cannot be done without it, as a sentence begins
    :param ledger: whether the ledger is needed
    """
    try:
        adapter = credentials.adapter(conf, credentials.IMAGE, _TIMEOUT)
    except ConfigError as error:
        yield Severity.FAILURE, (
            f'{what}, since Glance cannot be asked: {error.message} '
            f'{error.remedy}')
        return
    catalogue = Catalogue(adapter)
    try:
        catalogue.check_administrator()
    except ServiceError as error:
        yield (Severity.FAILURE if error.status else Severity.WARNING), (
            f'{error.message} {error.remedy}')
        return
    if ledger:
        try:
            LedgerCopy(catalogue, conf[opts.GROUP].ledger_owner).refresh()
        except ServiceError as error:
            yield until_mended(error, what)


def until_mended(error: HepixVmError, what: str) -> tuple[Severity, str]:
    """Return what is found where nothing goes on.

    :param what: what cannot be done, as a sentence begins
    """
    return Severity.FAILURE, (
        f'{what} until this is mended: {error.message} {error.remedy}')
