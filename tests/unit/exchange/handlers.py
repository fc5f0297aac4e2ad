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

"""An event handler that writes down what it gets."""

import dataclasses
import json
import sys

from hepix_vm.exchange.notify.vmcatcher import Vmcatcher
from tests.unit.exchange.events import image_list
from tests.unit.exchange.events import settings

HANDLER = """#!{python} -S
import json, os, sys
with open({log!r}, 'a') as log:
    print(json.dumps([sys.argv[1:], dict(os.environ)]), file=log)
sys.exit(int(os.environ.get('STATUS', 0)))
"""


class Handler:
    """The program, and what it was told."""

    def __init__(self, folder):
        self.log = folder / 'told'
        self.path = folder / 'handler'
        self.path.write_text(HANDLER.format(
            python=sys.executable, log=str(self.log)))
        self.path.chmod(0o755)

    def calls(self):
        return [json.loads(line)
                for line in self.log.read_text().splitlines()]

    def events(self):
        """Return types, with the identifier of the image."""
        return [(call['VMCATCHER_EVENT_TYPE'],
                 call.get('VMCATCHER_EVENT_DC_IDENTIFIER', ''))
                for _, call in self.calls()]


def make(site, handler, arguments='', **options):
    return Vmcatcher(settings(
        site, vmcatcher_event_handler=f'{handler.path}{arguments}',
        **options))


def whole():
    """Return a list whose image has all that vmcatcher told."""
    of = image_list(version='7')
    entry, = of.images
    return dataclasses.replace(of, images=(dataclasses.replace(
        entry, extra={'ad:mpuri': 'https://appdb.example.org/x:1/'}),))
