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

"""The notifier vmcatcher: what hangs, takes long, or waits."""

import pytest

from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.notify import Notifiers
from hepix_vm.exchange.notify import vmcatcher
from tests.unit.exchange.events import event
from tests.unit.exchange.events import settings
from tests.unit.exchange.handlers import Handler
from tests.unit.exchange.handlers import make
from tests.unit.exchange.handlers import whole

STUCK = """#!/bin/sh
echo "$VMCATCHER_EVENT_TYPE" >> {log}
case $VMCATCHER_EVENT_TYPE in {hangs}) sleep 600;; esac
"""


@pytest.fixture
def handler(tmp_path):
    return Handler(tmp_path)


def types(handler):
    return handler.log.read_text().split()


def stuck(handler, hangs):
    handler.path.write_text(STUCK.format(log=handler.log, hangs=hangs))


def test_an_event_that_hangs_is_skipped_not_the_handler(site, handler,
                                                        monkeypatch):
    monkeypatch.setattr(vmcatcher, '_PATIENCE', 0.5)
    stuck(handler, 'SubscriptionImageNew')
    notifiers = Notifiers(settings(
        site, notifiers='vmcatcher',
        vmcatcher_event_handler=str(handler.path)))
    for kind in (Kind.RUN_BEGINS, Kind.IMAGE_LISTED, Kind.IMAGE_REVOKED,
                 Kind.RUN_ENDS, Kind.RUN_BEGINS):
        notifiers.tell(event(kind, of=whole()
                             if kind.startswith('image') else None))
    assert types(handler) == [
        'ProcessPrefix', 'ExpirePrefix', 'ExpirePostfix',
        'SubscriptionImageNew', 'ProcessPostfix', 'ProcessPrefix']


def test_what_was_not_told_in_a_run_is_told_by_the_next(site, handler):
    """It was killed; what it left comes first, in its own order."""
    killed = make(site, handler)
    killed.tell(event(Kind.RUN_BEGINS))
    killed.tell(event(Kind.IMAGE_AVAILABLE, of=whole()))
    killed.tell(event(Kind.IMAGE_REVOKED, of=whole()))
    other = make(site, handler)
    other.tell(event(Kind.RUN_BEGINS))
    other.tell(event(Kind.RUN_ENDS))
    # As long as it lives it tells that itself.
    assert [kind for kind, _ in handler.events()] == [
        'ProcessPrefix', 'ProcessPrefix', 'ProcessPostfix']
    killed._end()  # so does the kernel
    handler.log.unlink()
    for _ in range(2):
        following = make(site, handler)
        following.tell(event(Kind.RUN_BEGINS))
        following.tell(event(Kind.IMAGE_REVOKED, of=whole()))
        following.tell(event(Kind.RUN_ENDS))
    own = ['ExpirePrefix', 'ExpirePostfix', 'ProcessPostfix']
    assert [kind for kind, _ in handler.events()] == [
        'ProcessPrefix', 'ExpirePrefix', 'ExpirePostfix', 'AvailablePrefix',
        'AvailablePostfix', *own, 'ProcessPrefix', *own]
    sessions = [call['VMCATCHER_EVENT_UUID_SESSION']
                for _, call in handler.calls()]
    assert len(set(sessions)) == 3 and sessions[0] != sessions[1]


def test_a_handler_that_always_hangs_is_left_alone(site, handler,
                                                   monkeypatch):
    monkeypatch.setattr(vmcatcher, '_PATIENCE', 0.2)
    stuck(handler, '*')
    notifier = make(site, handler)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            notifier.tell(event(Kind.IMAGE_LISTED, of=whole()))
    notifier.tell(event(Kind.IMAGE_LISTED, of=whole()))
    notifier.tell(event(Kind.RUN_ENDS))
    assert types(handler) == ['SubscriptionImageNew'] * 3
    # It is mended, and what it did not see comes.
    stuck(handler, 'none')
    mended = make(site, handler)
    mended.tell(event(Kind.RUN_BEGINS))
    mended.tell(event(Kind.RUN_ENDS))
    assert types(handler)[3:] == [
        'ProcessPrefix', 'SubscriptionImageNew', 'ProcessPostfix']


def test_a_handler_that_is_gone_for_a_while(site, handler):
    notifier = make(site, handler)
    away = handler.path.rename(handler.path.with_name('away'))
    with pytest.raises(FileNotFoundError):
        notifier.tell(event(Kind.IMAGE_REVOKED, of=whole()))
    away.rename(handler.path)
    make(site, handler).tell(event(Kind.RUN_BEGINS))
    assert [kind for kind, _ in handler.events()] == [
        'ProcessPrefix', 'ExpirePrefix', 'ExpirePostfix']


def test_a_run_has_so_much_time_for_the_handler(site, handler, monkeypatch,
                                                caplog):
    """What is over comes first in the next run, in the same order."""
    notifier = make(site, handler)
    notifier.tell(event(Kind.RUN_BEGINS))
    for kind in (Kind.IMAGE_AVAILABLE, Kind.IMAGE_REVOKED):
        notifier.tell(event(kind, of=whole()))
    monkeypatch.setattr(vmcatcher, '_MOST', notifier._took + 1e-9)
    notifier.tell(event(Kind.RUN_ENDS))
    own = ['ExpirePrefix', 'ExpirePostfix']
    assert [kind for kind, _ in handler.events()] == [
        'ProcessPrefix', *own, 'ProcessPostfix']
    assert f'1 images are told to {handler.path} in the next run' in (
        caplog.text)
    # It has its time anew.
    monkeypatch.setattr(vmcatcher, '_MOST', 600)
    notifier._took = 601.0
    notifier.tell(event(Kind.RUN_BEGINS))
    assert [kind for kind, _ in handler.events()][4:] == [
        'ProcessPrefix', 'AvailablePrefix', 'AvailablePostfix']


def test_what_happens_is_told_before_what_only_is_listed(site, handler,
                                                         monkeypatch):
    """One list has so many new images that no run can tell them all."""
    for _ in range(2):
        notifier = make(site, handler)
        notifier.tell(event(Kind.RUN_BEGINS))
        for kind in [Kind.IMAGE_LISTED] * 3 + [Kind.IMAGE_REVOKED]:
            notifier.tell(event(kind, of=whole()))
        # Time for the first image alone.
        monkeypatch.setattr(vmcatcher, '_MOST', notifier._took + 1e-9)
        notifier.tell(event(Kind.RUN_ENDS))
        monkeypatch.setattr(vmcatcher, '_MOST', 600)
    told = ['ProcessPrefix', 'ExpirePrefix', 'ExpirePostfix',
            'ProcessPostfix']
    assert [kind for kind, _ in handler.events()] == [*told, *told]
    for _ in range(2):
        notifier = make(site, handler)
        notifier.tell(event(Kind.RUN_BEGINS))
        notifier.tell(event(Kind.RUN_ENDS))
    assert [kind for kind, _ in handler.events()][8:] == [
        'ProcessPrefix', *['SubscriptionImageNew'] * 6, 'ProcessPostfix',
        'ProcessPrefix', 'ProcessPostfix']


def test_a_large_list_leaves_room_for_what_happens(site, handler,
                                                   monkeypatch, caplog):
    monkeypatch.setattr(vmcatcher, '_LONGEST_QUEUE', 3)
    monkeypatch.setattr(vmcatcher, '_MOST_LISTED', 2)
    notifier = make(site, handler)
    notifier.tell(event(Kind.RUN_BEGINS))
    for kind in [Kind.IMAGE_LISTED] * 5 + [Kind.IMAGE_REVOKED]:
        notifier.tell(event(kind, of=whole()))
    notifier.tell(event(Kind.RUN_ENDS))
    assert [kind for kind, _ in handler.events()] == [
        'ProcessPrefix', 'ExpirePrefix', 'ExpirePostfix',
        'SubscriptionImageNew', 'SubscriptionImageNew', 'ProcessPostfix']
    assert '3 events did not fit' in caplog.text


def test_what_waits_is_bounded(site, handler, monkeypatch, caplog):
    monkeypatch.setattr(vmcatcher, '_LONGEST_QUEUE', 2)
    notifier = make(site, handler)
    notifier.tell(event(Kind.RUN_BEGINS))
    for _ in range(5):
        notifier.tell(event(Kind.IMAGE_REVOKED, of=whole()))
    notifier.tell(event(Kind.RUN_ENDS))
    assert [kind for kind, _ in handler.events()].count('ExpirePrefix') == 2
    assert '3 events did not fit' in caplog.text
