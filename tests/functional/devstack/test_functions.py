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

"""Single functions of the plugin that start programs."""

import pytest

from tests.functional.devstack.functions import Functions

_RECORD = """\
cat > "$MACHINE/interpreter" << 'EOF'
#!/bin/bash
echo "run: $*"
exit "${STATUS:-0}"
EOF
chmod +x "$MACHINE/interpreter"
PYTHON=$MACHINE/interpreter
"""


@pytest.mark.parametrize('venv', ['True', 'False'])
def test_hosts_are_kept_by_the_python_of_devstack(
        functions: Functions, venv: str) -> None:
    # Without its environment there is none beside the programs.
    said = functions.run(
        f'GLOBAL_VENV={venv}\n{_RECORD}verify_hepix_vm_placement')
    assert 'devstack/tools/endorsed_hosts.py --os-cloud devstack-admin' in (
        said.partition('run: ')[2])


def test_stack_ends_where_hosts_are_not_kept(functions: Functions) -> None:
    said = functions.die(
        f'export STATUS=1\n{_RECORD}verify_hepix_vm_placement')
    assert 'Placement does not keep the hosts' in said
