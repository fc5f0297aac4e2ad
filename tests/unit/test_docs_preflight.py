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

"""The page on ``hepix-vm-status`` names what it looks at, and of whom.

What Glance and Nova are asked cannot be imported together: their checks are
read from the source.
"""

import ast

from hepix_vm.cmd import upgrade_check
from tests.unit.test_docs import read
from tests.unit.test_docs import ROOT
from tests.unit.test_docs import rows

PAGE = 'cli/hepix-vm-status.rst'
SOURCES = {
    'glance': 'glance_hooks/preflight.py',
    'cinder': 'cinder_checks/preflight.py',
    'vendordata': 'nova_ctx/checks/vendordata.py',
    'sync': 'exchange/preflight.py'}


def names(path):
    """Return the constants of a module, and the names of its checks."""
    tree = ast.parse((ROOT / 'hepix_vm' / path).read_text())
    for node in tree.body:
        target = getattr(node, 'target', None) or getattr(
            node, 'targets', [None])[0]
        if getattr(target, 'id', '') == '_CHECKS':
            return [key.value for key in node.value.keys]
    raise AssertionError(f'{path} has no checks')


def checks():
    """Return which services are asked for each check."""
    from hepix_vm.nova_ctx import preflight

    found = {}
    for service, path in SOURCES.items():
        for what in names(path):
            found.setdefault(what, set()).add(service)
    for what, (parts, _) in preflight._CHECKS.items():
        found.setdefault(what, set()).update(map(str, parts))
    return found


def test_every_check_has_its_row():
    documented = {cells[0]: set(cells[1].split(', ')) for cells in rows(PAGE)
                  if len(cells) == 3 and cells[0] != 'Check'}
    assert documented == checks()


def test_every_service_can_be_named_and_is_explained():
    services = {'glance', 'nova', 'cinder', 'vendordata', 'sync',
                *upgrade_check.PARTS}
    text = read(PAGE)
    usage = text[text.index('upgrade check\n    '):].partition(']')[0]
    assert set(usage.partition('[')[2].replace('\n', '').replace(
        ' ', '').split('|')) == services
    parser = upgrade_check.UpgradeCheck(None, None).get_parser('x')
    action, = (each for each in parser._actions if each.dest == 'service')
    assert set(action.choices) == services
    for service in services:
        assert f'\n``{service}``' in text or f', ``{service}``\n' in text
