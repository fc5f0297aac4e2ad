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

"""The notifier vmcatcher, with a handler that writes down what it gets."""

import dataclasses
import os
import time

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.notify import vmcatcher
from hepix_vm.exchange.notify.vmcatcher import Vmcatcher
from tests.unit.exchange.events import event
from tests.unit.exchange.events import settings
from tests.unit.exchange.handlers import Handler
from tests.unit.exchange.handlers import make
from tests.unit.exchange.handlers import whole

# What Python itself adds to its environment.
OWN = {'LC_CTYPE'}


@pytest.fixture
def handler(tmp_path):
    return Handler(tmp_path)


def variables(of, kind, **more):
    """Return what vmcatcher 0.6 set for an image of its cache."""
    entry, = of.images
    return {'VMCATCHER_EVENT_' + name: value for name, value in {
        'TYPE': kind, 'DC_IDENTIFIER': entry.identifier,
        'DC_TITLE': 'Testbed image', 'DC_DESCRIPTION': 'A test image',
        'HV_URI': 'https://images.example.org/image.raw',
        'HV_SIZE': '1000', 'HV_VERSION': '1.0', 'HV_HYPERVISOR': 'kvm',
        'SL_ARCH': 'x86_64', 'SL_OS': 'Linux', 'SL_OSVERSION': '12',
        'SL_COMMENTS': 'none', 'SL_CHECKSUM_SHA512': 'ab' * 64,
        **more}.items()}


def cached(of, kind, filename):
    return variables(
        of, kind, HV_FORMAT='RAW', FILENAME=filename,
        AD_MPURI='https://appdb.example.org/x:1/', VO='vo.example.org',
        IL_DC_IDENTIFIER=of.identifier)


def environments(handler):
    """Return the environments, without what is the same in all."""
    found, sessions = [], set()
    for _, call in handler.calls():
        sessions.add(call.pop('VMCATCHER_EVENT_UUID_SESSION'))
        assert call.pop('PATH') == (
            '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin')
        assert call.pop('LANG') == 'C.UTF-8'
        found.append({name: value for name, value in call.items()
                      if name not in OWN})
    session, = sessions
    assert len(session) == 36
    return found


def test_an_image_that_is_available(site, handler):
    of = whole()
    identifier = of.images[0].identifier
    make(site, handler).tell(event(Kind.IMAGE_AVAILABLE, of=of))
    assert environments(handler) == [
        cached(of, 'AvailablePrefix', identifier),
        cached(of, 'AvailablePostfix', identifier)]


@pytest.mark.parametrize('kind', [
    Kind.IMAGE_EXPIRED, Kind.IMAGE_REVOKED, Kind.IMAGE_BLOCKED,
    Kind.IMAGE_SUPERSEDED])
def test_an_image_that_is_not_to_be_used(site, handler, kind):
    of = whole()
    identifier = of.images[0].identifier
    make(site, handler).tell(event(kind, Code.IMAGE_REVOKED, of=of))
    assert environments(handler) == [
        cached(of, 'ExpirePrefix', identifier),
        cached(of, 'ExpirePostfix', f'{identifier}.2026-11-21_19-00-05')]


def test_an_image_that_is_new_in_a_list(site, handler):
    """vmcatcher_subscribe told less than vmcatcher_cache."""
    of = whole()
    make(site, handler).tell(event(Kind.IMAGE_LISTED, of=of))
    assert environments(handler) == [variables(of, 'SubscriptionImageNew')]


def test_the_order_of_a_run(site, handler):
    """A new version comes before the old one goes; handlers must not."""
    old, new, listed = whole(), whole(), whole()
    identifier = old.images[0].identifier
    new = dataclasses.replace(new, images=(dataclasses.replace(
        new.images[0], identifier=identifier, sha512='cd' * 64),))
    notifier = make(site, handler)
    for each in (event(Kind.RUN_BEGINS), event(Kind.IMAGE_LISTED, of=listed),
                 event(Kind.IMAGE_AVAILABLE, of=new),
                 event(Kind.IMAGE_SUPERSEDED, of=old)):
        notifier.tell(each)
    # Until then nothing waits for the handler.
    assert handler.events() == [('ProcessPrefix', '')]
    notifier.tell(event(Kind.RUN_ENDS))
    assert handler.events()[1:] == [
        ('ExpirePrefix', identifier), ('ExpirePostfix', identifier),
        ('AvailablePrefix', identifier), ('AvailablePostfix', identifier),
        ('SubscriptionImageNew', listed.images[0].identifier),
        ('ProcessPostfix', '')]
    digests = [call['VMCATCHER_EVENT_SL_CHECKSUM_SHA512'][:2]
               for _, call in handler.calls()[1:5]]
    assert digests == ['ab', 'ab', 'cd', 'cd']
    environments(handler)  # all of one session


def test_an_image_that_was_put_to_use_again(site, handler):
    of = whole()
    make(site, handler).tell(event(Kind.IMAGE_ENDORSED, of=of))
    assert [kind for kind, _ in handler.events()] == [
        'AvailablePrefix', 'AvailablePostfix']


@pytest.mark.parametrize('kind', [
    Kind.LIST_ACCEPTED, Kind.LIST_REFUSED, Kind.LIST_STALE,
    Kind.IMAGE_REFUSED])
def test_what_vmcatcher_did_not_tell(site, handler, kind):
    make(site, handler).tell(event(kind))
    assert not handler.log.exists()


def test_an_image_of_no_list(site, handler):
    make(site, handler).tell(dataclasses.replace(
        event(Kind.IMAGE_BLOCKED), image_list=None, entry=None))
    assert not handler.log.exists()


def test_what_is_empty_is_not_set(site, handler):
    of = whole()
    of = dataclasses.replace(of, vo='', images=(dataclasses.replace(
        of.images[0], comments='', format='', extra={}),))
    make(site, handler).tell(event(Kind.IMAGE_AVAILABLE, of=of))
    missing = {'VMCATCHER_EVENT_' + name
               for name in ('VO', 'SL_COMMENTS', 'HV_FORMAT', 'AD_MPURI')}
    for call in environments(handler):
        assert not missing & set(call)


def test_no_shell_reads_what_a_list_says(site, handler, tmp_path):
    nasty = f'$(touch {tmp_path}/owned); `touch {tmp_path}/owned`\n\0"'
    of = whole()
    of = dataclasses.replace(of, images=(dataclasses.replace(
        of.images[0], title=nasty, uri=nasty, comments='\udc80'),))
    make(site, handler, ',a b,$$HOME,;').tell(
        event(Kind.IMAGE_LISTED, of=of))
    (arguments, call), = handler.calls()
    assert arguments == ['a b', '$HOME', ';']
    assert call['VMCATCHER_EVENT_DC_TITLE'] == nasty.replace('\0', '')
    assert call['VMCATCHER_EVENT_SL_COMMENTS'] == '?'
    assert not (tmp_path / 'owned').exists()


def test_a_long_value_is_cut(site, handler):
    of = whole()
    of = dataclasses.replace(of, images=(dataclasses.replace(
        of.images[0], description='d' * 1_000_000),))
    make(site, handler).tell(event(Kind.IMAGE_LISTED, of=of))
    (_, call), = handler.calls()
    assert len(call['VMCATCHER_EVENT_DC_DESCRIPTION']) == 32 * 1024


def test_nothing_of_ours_is_handed_down(site, handler, monkeypatch):
    monkeypatch.setenv('OS_PASSWORD', 'secret')
    make(site, handler, vmcatcher_environment='VMCATCHER_RDBMS:'
         'sqlite:///var/lib/vmcatcher/vmcatcher.db,HOME:/srv').tell(
        event(Kind.RUN_BEGINS))
    call, = environments(handler)
    assert call == {
        'VMCATCHER_EVENT_TYPE': 'ProcessPrefix', 'HOME': '/srv',
        'VMCATCHER_RDBMS': 'sqlite:///var/lib/vmcatcher/vmcatcher.db'}


def test_the_exit_status_is_logged(site, handler, caplog):
    notifier = make(site, handler, vmcatcher_environment='STATUS:3')
    notifier.tell(event(Kind.RUN_BEGINS))
    assert f'{handler.path} ended with 3 for the event ProcessPrefix' in (
        caplog.text)
    assert caplog.records[-1].levelname == 'ERROR'
    notifier.tell(event(Kind.RUN_ENDS))
    assert len(handler.calls()) == 2


def test_a_handler_that_hangs_is_ended_with_its_children(site, tmp_path,
                                                         monkeypatch):
    monkeypatch.setattr(vmcatcher, '_PATIENCE', 0.5)
    handler = Handler(tmp_path)
    pids = tmp_path / 'pids'
    handler.path.write_text(
        f'#!/bin/sh\nsleep 600 &\necho $! $$ > {pids}\nwait\n')
    with pytest.raises(TimeoutError, match='ProcessPrefix'):
        make(site, handler).tell(event(Kind.RUN_BEGINS))
    child, own = map(int, pids.read_text().split())
    with pytest.raises(ProcessLookupError):
        os.kill(own, 0)
    assert gone(child)


def gone(pid):
    """Return whether a process ends; whoever inherited it may reap late."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with open(f'/proc/{pid}/stat') as file:
                if file.read().rpartition(')')[2].split()[0] == 'Z':
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(('value', 'match'), [
    ('', 'needs'), ('handler', 'absolute'), ('/nonexistent', 'executed')])
def test_a_handler_that_cannot_be_started(site, value, match):
    with pytest.raises(ConfigError, match=match):
        Vmcatcher(settings(site, vmcatcher_event_handler=value))
