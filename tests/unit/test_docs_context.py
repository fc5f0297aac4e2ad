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

"""The pages on the context say what the code does."""

import re
import shutil

import pytest

from hepix_vm.context import bundle
from hepix_vm.context.rules import Match
from hepix_vm.context.rules import Parts
from hepix_vm.context import template
from hepix_vm.nova_ctx import arguments
from hepix_vm.sitecontext import file
from tests.unit.test_docs import blocks
from tests.unit.test_docs import ETC
from tests.unit.test_docs import headings
from tests.unit.test_docs import known_keys
from tests.unit.test_docs import plain
from tests.unit.test_docs import read
from tests.unit.test_docs import ROOT
from tests.unit.test_docs import rows

PAGE = 'admin/context.rst'


def test_all_variables():
    documented = {cells[0].strip('`') for cells in rows(PAGE)} - {
        'Variable', 'HEPIX_SITE_...', 'HEPIX_SECRET_...'}
    assert documented == template.NAMES


def test_all_keys(tmp_path):
    def parse(data, name):
        path = tmp_path / name
        path.write_bytes(data)
        return file.read(str(path))

    assert headings(PAGE) == known_keys(parse, 'nothing: 1')
    text = read(PAGE)
    for key in (*Match._fields, *Parts._fields):
        assert f'``{key}``' in text


DESIGN = """\
variables: {syslog_server: log.example.org, squid: "http://squid:3128"}
rules:
  - match: {}
    prolog: [10-syslog.sh]
    epilog: [20-monitoring.sh]
  - match: {vo: vo.example.org}
    epilog: [50-cvmfs.sh]
"""


@pytest.mark.parametrize('text', [
    *blocks(PAGE, 'yaml'), DESIGN, *re.findall(
        r'```yaml\n(variables:.*?)```', (ROOT / 'README.md').read_text(),
        re.DOTALL)], ids=['page', 'design', 'readme'])
def test_examples_are_read_with_the_parts_that_ship(tmp_path, text):
    shutil.copytree(ETC / 'context', tmp_path / 'context')
    (tmp_path / 'context' / 'condor-ca.pem').write_text('a CA')
    path = tmp_path / 'context.yaml'
    path.write_text(text)
    assert len(file.read(str(path)).rules) > 1


@pytest.mark.parametrize('limit, text', [
    (bundle.MAX_SCRIPT, '8 MiB in a part'), (bundle.MAX_TOTAL, '32 MiB or'),
    (bundle.MAX_COUNT, 'or 256 parts in all'),
    (bundle.MAX_NAME, 'longer than 64'),
    (template.MAX_VALUE, 'more than 32 KiB')])
def test_limits(limit, text):
    number, unit = re.search(r'(\d+)( [MK]iB)?', text).groups()
    assert limit == int(number) * {
        ' MiB': 1024 * 1024, ' KiB': 1024, None: 1}[unit]
    assert text in plain(read(PAGE))


def test_the_usage_of_the_program():
    page = plain(read('cli/hepix-vm-mkisofs.rst'))
    assert arguments.USAGE in page
