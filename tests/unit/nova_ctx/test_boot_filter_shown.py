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


"""Of what is refused, only what its user may know of is told."""

import threading
import time
from types import SimpleNamespace

from nova import exception
from nova.image import glance
import pytest

from hepix_vm.errors import Code
from hepix_vm.nova_ctx.refusal import Answer
from hepix_vm.nova_ctx.refusal import Named
from hepix_vm.nova_ctx.refusal import Refusal
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict
from tests.unit.nova_ctx.test_boot_filter import A
from tests.unit.nova_ctx.test_boot_filter import Api
from tests.unit.nova_ctx.test_boot_filter import B
from tests.unit.nova_ctx.test_boot_filter import context
from tests.unit.nova_ctx.test_boot_filter import REVOKED


@pytest.fixture
def api(monkeypatch):
    return Api(monkeypatch)


def hidden(kind='image', owner='p2', **more):
    return Refusal(REVOKED, Named(kind, A, owner), **more)


ABSENT = exception.ImageNotFound(image_id=A)
NO_VOLUME = ('Block Device Mapping is Invalid: failed to get volume '
             f'{B}.')
THEIRS, OURS, ALL = (Named('volume', B, owner) for owner in ('p2', 'p1', ''))


@pytest.mark.parametrize('refusal, act, message', [
    (hidden(), None, 'Can not find requested image'),
    (hidden(missing=True, owner=''), None, 'Can not find requested image'),
    (hidden(), 'rebuild', 'Cannot find image for rebuild'),
    (hidden(), 'rescue', f'Requested rescue image \'{A}\' is not supported'),
    (hidden(kind='volume'), None, 'Block Device Mapping is Invalid: failed '
     f'to get volume {A}.'),
    (hidden(kind='snapshot'), None, 'Block Device Mapping is Invalid: '
     f'failed to get snapshot {A}.'),
    # What leads there is not his to know either.
    (hidden(owner='p1', led=(THEIRS,)), None, NO_VOLUME),
    (hidden(owner='', led=(OURS, THEIRS)), None, NO_VOLUME),
    (hidden(led=(THEIRS,), missing=True), None, NO_VOLUME)])
def test_what_is_not_shown(api, monkeypatch, refusal, act, message):
    glance_does(monkeypatch, fails(ABSENT))
    api.boots.says = Answer((refusal,))
    status, _, said = (
        api.act('rebuild', {'imageRef': A}) if act == 'rebuild' else
        api.act('rescue', {'rescue_image_ref': A}) if act else api.ask())
    assert (status, said['badRequest']['message']) == (400, message)
    assert api.passed == []


def glance_does(monkeypatch, act):
    """Have Nova's Glance do this, and return what it is asked."""
    asked = []

    def get(context, identifier):
        asked.append(identifier)
        return act()
    monkeypatch.setattr(glance, 'API', lambda: SimpleNamespace(get=get))
    return asked


def fails(error):
    def fail():
        raise error
    return fail


def not_told(api, answer):
    """See that it is refused, and that nothing is said of the image."""
    status, headers, said = answer
    assert (status, headers['Retry-After']) == (503, '10')
    message = said['serviceUnavailable']['message']
    assert '[unavailable]' in message
    assert 'revoked' not in message and A not in message
    assert api.passed == []
    return message


@pytest.mark.parametrize('error', [
    ABSENT, exception.Forbidden(),
    exception.ImageNotAuthorized(image_id=A)])
def test_glance_does_not_show_it(api, monkeypatch, error):
    asked = glance_does(monkeypatch, fails(error))
    api.boots.says = Answer((hidden(),))
    assert api.ask()[0] == 400
    assert asked == [A]


@pytest.mark.parametrize('error', [
    exception.GlanceConnectionFailed(server='x', reason='y'), OSError('x'),
    TimeoutError(), exception.ImageBadRequest(image_id=A, response='x'),
    KeyError('x')])
@pytest.mark.parametrize('rule', ['refuse', 'allow'])
def test_glance_does_not_say_whether_it_shows_it(
        api, monkeypatch, caplog, error, rule):
    glance_does(monkeypatch, fails(error))
    if rule == 'allow':  # It is certain that it may not boot.
        monkeypatch.setattr(api.boots, 'unknown', lambda *_, **who: Answer())
    api.boots.says = Answer((hidden(),))
    assert 'Glance does not say now' in not_told(api, api.ask())
    assert type(error).__name__ in caplog.text


def test_glance_is_silent_of_an_image_of_others(api, monkeypatch):
    go = threading.Event()
    glance_does(monkeypatch, lambda: go.wait(20))
    api.boots.says = Answer((hidden(),))
    api.boots.patience = 0.2
    start = time.monotonic()
    not_told(api, api.ask())
    assert time.monotonic() - start < 5
    # What he may know of is refused as ever.
    api.boots.says = Answer((hidden(), Refusal(REVOKED, Named(owner='p1'))))
    status, _, said = api.ask()
    go.set()
    assert (status, said['forbidden']['message']) == (403, REVOKED.explain())


def test_glance_is_not_asked_when_the_time_is_over(api, monkeypatch):
    asked = glance_does(monkeypatch, lambda: None)
    api.boots.says = Answer((hidden(),))
    api.boots.patience = 0
    not_told(api, api.ask())
    assert asked == []


@pytest.mark.parametrize('refusal, more', [
    (hidden(), {'is_admin': True}), (hidden(owner='p1'), {}),
    (hidden(owner=''), {}), (hidden('volume', 'p1'), {}),
    (hidden(kind='volume'), {'is_admin': True}),
    (hidden(owner='', led=(OURS, ALL)), {}),
    (hidden(owner='', led=(THEIRS,)), {'is_admin': True})])
def test_what_is_shown(api, monkeypatch, refusal, more):
    glance_does(monkeypatch, fails(ABSENT))
    api.boots.says = Answer((refusal,))
    assert api.ask(**{'nova.context': context(**more)})[0] == 403


def test_an_image_that_is_shared(api, monkeypatch):
    seen = glance_does(monkeypatch, lambda: None)
    api.boots.says = Answer((hidden(),))
    assert api.ask()[0] == 403
    assert seen == [A]


def test_only_what_is_shown_is_explained(api, monkeypatch):
    glance_does(monkeypatch, fails(ABSENT))
    secret = Verdict((Reason(Code.NOT_ENDORSED, 'A secret.'),))
    api.boots.says = Answer((Refusal(secret, Named(owner='p2')),
                             Refusal(REVOKED, Named(owner='p1'))))
    _, _, said = api.ask()
    assert 'A secret.' not in said['forbidden']['message']
    assert 'It was revoked.' in said['forbidden']['message']
