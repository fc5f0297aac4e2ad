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

"""What import-config says of files that have no lists, and of passwords."""

import pytest

from hepix_vm.cmd import sync
from hepix_vm.errors import ConfigError
from hepix_vm.exchange.importing import atrope
from hepix_vm.exchange.importing import cloudkeeper
from hepix_vm.exchange.importing import render


@pytest.mark.parametrize(('tool', 'text'), [
    ('cloudkeeper', 'cloudkeeper: {ca-dir: /etc/x}'), ('atrope', '')])
def test_a_file_without_lists(tmp_path, capsys, tool, text):
    path, output = tmp_path / 'theirs.yml', tmp_path / 'ours.yaml'
    path.write_text(text)
    assert sync.main(['import-config', '--from', tool, str(path),
                      '--output', str(output)]) == 1
    assert capsys.readouterr() == ('', f'{path} names no list\n')
    assert not output.exists()


def test_a_file_of_cloudkeeper_is_none_of_atrope():
    with pytest.raises(ConfigError, match='cloudkeeper has no url'):
        atrope.read(b'cloudkeeper: {image-list: https://h/x}', 'f')


def test_where_a_password_belongs():
    text = render.render(cloudkeeper.read(
        b'cloudkeeper: {image-list: "https://a:b@h/x"}', 'f'),
        'cloudkeeper', {}).text
    assert ('make the folder, and let the file belong to hepix-vm, with '
            'mode 0400.') in text
