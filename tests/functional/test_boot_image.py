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

"""The disk image that demo and tests upload is one that boots."""

import pathlib

import pytest

from tests.testbed import images


@pytest.fixture(scope='module')
def raw(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return images.bootable(tmp_path_factory.mktemp('images') / 'boot.raw')


def test_raw_image_boots(raw: pathlib.Path) -> None:
    assert images.GREETING in images.boot(raw, 'raw')


def test_qcow2_image_boots_and_holds_the_same_disk(
        raw: pathlib.Path, tmp_path: pathlib.Path) -> None:
    converted = images.qcow2(raw, tmp_path / 'boot.qcow2')
    assert converted.read_bytes()[:4] == b'QFI\xfb'
    assert images.GREETING in images.boot(converted, 'qcow2')
