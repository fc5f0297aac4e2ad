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

"""One sync at a time, and what is said where nobody can be asked."""

import pytest
import tooz
from tooz import coordination as library

from hepix_vm.errors import ConfigError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange import coordination

SECRET = 'redis://hepix:secret@127.0.0.1:1'


class Lost:
    """A coordinator, and its lock, that lose their service."""

    def __init__(self, fails):
        self.fails = fails

    def start(self, start_heart):
        assert start_heart
        self.ask('start')

    def stop(self):
        self.ask('stop')

    def get_lock(self, name):
        return self

    def acquire(self, blocking):
        self.ask('acquire')
        return True

    def release(self):
        self.ask('release')

    def ask(self, what):
        if what in self.fails:
            raise tooz.coordination.ToozConnectionError(SECRET)


@pytest.mark.parametrize(('url', 'message'), [
    ('nonsense', 'tooz has no driver without a name; it has '),
    ('zake://x:secret@127.0.0.1', 'tooz has no driver zake; it has ')])
def test_no_such_driver(tmp_path, url, message):
    with pytest.raises(ConfigError) as caught:
        with coordination.alone(url, str(tmp_path)):
            raise AssertionError
    assert message in caught.value.message
    assert 'NoMatches' not in str(caught.value)
    assert 'secret' not in str(caught.value) + caught.value.remedy
    assert 'redis' in caught.value.message.partition('it has')[2]


def test_nobody_can_be_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(library, 'get_coordinator',
                        lambda url, member: Lost({'start'}))
    with pytest.raises(ConfigError) as caught:
        with coordination.alone(SECRET, str(tmp_path)):
            raise AssertionError
    assert 'at work (ToozConnectionError).' in caught.value.message
    assert 'secret' not in str(caught.value) + caught.value.remedy


def test_a_driver_that_lacks_its_package(tmp_path, monkeypatch):
    def missing(url, member):
        raise ModuleNotFoundError(name='etcd3gw')

    monkeypatch.setattr(library, 'get_coordinator', missing)
    with pytest.raises(ConfigError, match='etcd3 of tooz needs the Python '
                       'package etcd3gw'):
        with coordination.alone('etcd3://127.0.0.1', str(tmp_path)):
            raise AssertionError


def test_a_service_that_is_lost_before_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(library, 'get_coordinator',
                        lambda url, member: Lost({'acquire'}))
    with pytest.raises(ServiceError) as caught:
        with coordination.alone(SECRET, str(tmp_path)):
            raise AssertionError
    assert caught.value.message == (
        'It cannot be asked whether another sync is at work '
        '(ToozConnectionError).')


@pytest.mark.parametrize('fails', ['release', 'stop'])
def test_a_service_that_is_lost_after_it(tmp_path, monkeypatch, caplog,
                                         fails):
    """What was done is done."""
    monkeypatch.setattr(library, 'get_coordinator',
                        lambda url, member: Lost({fails}))
    with coordination.alone(SECRET, str(tmp_path)) as alone:
        assert alone
    record, = caplog.records
    assert 'does not answer any more (ToozConnectionError)' in caplog.text
    assert 'secret' not in caplog.text and record.exc_info is None


def test_what_fails_meanwhile_is_told_as_it_is(tmp_path):
    with pytest.raises(KeyError):
        with coordination.alone('', str(tmp_path)):
            raise KeyError
