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

"""What was told, and waits to be told, is kept by all processes at once."""

import threading

import pytest

from hepix_vm.exchange.notify import told as module
from hepix_vm.exchange.notify.told import Item
from hepix_vm.exchange.notify.told import Told
from hepix_vm.exchange.notify.told import ToldFile
from tests.unit.exchange.events import AT

ITEM = Item('', 'title', 'text')


@pytest.fixture
def file(tmp_path):
    return ToldFile(str(tmp_path))


def keys(file):
    with file.open() as told:
        return set(told.keys)


def test_nothing_is_lost_between_processes(tmp_path):
    def work(name):
        file = ToldFile(str(tmp_path))
        for number in range(20):
            with file.open() as told:
                assert told.add(f'{name}-{number}', 'image', AT, [ITEM])

    threads = [threading.Thread(target=work, args=(name,))
               for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ToldFile(str(tmp_path)).open() as told:
        assert (len(told.keys), len(told.waiting)) == (160, 160)


def test_one_sends(file, tmp_path):
    with file.sending() as alone, ToldFile(str(tmp_path)).sending() as other:
        assert (alone, other) == (True, False)
    with ToldFile(str(tmp_path)).sending() as alone:
        assert alone


def test_the_oldest_is_forgotten_first(file, monkeypatch):
    monkeypatch.setattr(module, '_REMEMBERED', 3)
    for day in (5, 1, 4, 2, 3):
        with file.open() as told:
            told.add(str(day), 'image', AT.replace(day=day), [])
    # Each time that one was one too many, the oldest of four went.
    assert keys(file) == {'3', '4', '5'}


def test_what_is_forgotten_is_that_of_one_image(file):
    with file.open() as told:
        for key, about in (('1', 'a'), ('2', 'b'), ('3', 'a')):
            told.add(key, about, AT, [])
        assert told.forget('a')
        assert not told.forget('a')
    assert keys(file) == {'2'}


def test_the_file_is_not_written_if_nothing_changed(file, tmp_path):
    with file.open() as told:
        told.add('1', 'a', AT, [ITEM])
    before = (tmp_path / 'told.json').stat().st_ino
    with file.open() as told:
        told.forget('b')
        assert not told.add('1', 'a', AT, [ITEM])
    assert (tmp_path / 'told.json').stat().st_ino == before


def test_what_fails_changes_nothing(file):
    with pytest.raises(RuntimeError), file.open() as told:
        told.add('1', 'a', AT, [ITEM])
        raise RuntimeError
    assert keys(file) == set()


def test_what_does_not_fit_is_counted():
    told = Told({}, [ITEM] * 499)
    told.add('1', 'a', AT, [ITEM] * 3)
    assert (len(told.waiting), told.more) == (500, 2)
