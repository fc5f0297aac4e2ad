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


"""What nova-api does while Glance does not answer, and how it starts."""

import contextlib
import socket
import threading
import time

import pytest

from tests.functional.boot.booting import PATIENCE
from tests.functional.boot.booting import refused
from tests.functional.boot.booting import taken
from tests.functional.boot.booting import until

SLACK = 5  # seconds that a busy machine may take besides


@contextlib.contextmanager
def stopped(world):
    world.cloud.glance.stop()
    try:
        yield
    finally:
        world.cloud.glance.start()


@contextlib.contextmanager
def settings(world, text):
    """Have nova-api run with other settings."""
    config = world.site.config
    known = config.read_text()
    world.nova.stop()
    # The last of two counts.
    config.write_text(known.replace(
        '[service_credentials]', f'{text}\n[service_credentials]'))
    try:
        yield
    finally:
        world.nova.stop()
        config.write_text(known)
        world.nova.start()


def unknown(response):
    assert response.status_code == 503, response.text
    said = response.json()['serviceUnavailable']
    assert said['code'] == 503
    assert '[unavailable] Glance does not say' in said['message']
    assert int(response.headers['Retry-After']) > 0


def test_glance_is_down(world):
    image = world.endorsed()
    with stopped(world):
        start = time.monotonic()
        unknown(world.boot(image))
        assert time.monotonic() - start < PATIENCE + SLACK
        entry = world.journal()[-1]
        assert (entry['allowed'], entry['image'], entry['action']) == (
            False, image, 'create')
    # It comes back, and nobody has to start anything anew.
    until(lambda: world.boot(image), 202)


def test_it_may_pass_when_glance_is_down(world):
    server = world.server(world.endorsed())
    bad = world.server(world.stranger())
    with settings(world, 'on_unknown = allow'):
        world.nova.start()
        with stopped(world):
            # For its own image nova-api does not ask Glance.
            taken(world.act(server, 'rescue'))
            entry = world.journal()[-1]
            assert (entry['allowed'], entry['endorsed'],
                    entry['server']) == (True, False, server)
            assert [each['code'] for each in entry['reasons']] == [
                'unavailable']
        refused(world.act(bad, 'rescue'), 'not-endorsed')


def test_glance_says_nothing(world):
    image = world.endorsed()
    port = world.cloud.glance.port
    world.cloud.glance.stop()
    taken_in = []
    with socket.create_server(('127.0.0.1', port)) as silent:
        def accept():
            while True:
                try:
                    taken_in.append(silent.accept()[0])
                except OSError:
                    return
        threading.Thread(target=accept, daemon=True).start()
        start = time.monotonic()
        try:
            response = world.boot(image)
            passed = time.monotonic() - start
        finally:
            silent.shutdown(socket.SHUT_RDWR)
    for each in taken_in:
        each.close()
    world.cloud.glance.start()
    unknown(response)
    assert PATIENCE <= passed < PATIENCE + SLACK
    until(lambda: world.boot(image), 202)


@pytest.mark.parametrize('text, words', [
    ('boot_cache = much', 'boot_cache'),
    ('policy_file = /nowhere/policy.yaml', '/nowhere/policy.yaml')])
def test_it_does_not_start_with_wrong_settings(world, text, words):
    with settings(world, text):
        with pytest.raises(RuntimeError, match=words):
            world.nova.start()
