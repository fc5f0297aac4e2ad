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

"""What a server is told by way of its vendor data, and what that is made of.

All that is in it is seen by every process of the server, by the metadata
service: so it has no secrets (doc/source/install/vendordata.rst).
"""

from collections.abc import Mapping
import json
import threading
from typing import Any
from typing import NamedTuple

from oslo_config import cfg
from oslo_log import log as logging

from hepix_vm import config
from hepix_vm.context import bundle
from hepix_vm.context import cloudinit
from hepix_vm.context.facts import Facts
from hepix_vm.context.facts import Image
from hepix_vm.context.facts import TARGET
from hepix_vm.context import single
from hepix_vm import credentials
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.nova_ctx.answers import Answers
from hepix_vm import opts
from hepix_vm.sitecontext.compiled import Compiled
from hepix_vm.sitecontext import compiler

LOG = logging.getLogger(__name__)

# Names of targets in Nova's [api] vendordata_dynamic_targets; cloud-init
# looks for its own name.
CLOUD_INIT = 'cloud-init'
TARGETS = (TARGET, CLOUD_INIT)

_VERSION = 1  # of the answer
_MAX_TEXT = 255  # characters of what Nova's database calls a name or an id
# Seconds. Nova waits five for us ([api] vendordata_dynamic_read_timeout):
# an answer that comes later helps nobody, and keeps a thread.
_PATIENCE = 4


# Seconds for which an image is not asked for again: many servers are often
# started from one at once, and Glance takes longer than all of the rest.
_SAME_IMAGE = 10

Answer = Mapping[str, bytes]  # as JSON, by target


class Server(NamedTuple):
    """A server, as Nova asks for it; what is not known is empty."""

    instance: str
    project: str
    image: str
    hostname: str


class Problem(Exception):
    """A question that is none.

    :param message: what is wrong with it
    """


def question(data: bytes) -> Server:
    """Return what Nova asks.

    Of what else it sends (user data, metadata, roles) nothing is used:
    users write it.

    :raises Problem: it is not of the form in which Nova asks
    """
    try:
        document = json.loads(data)
    # The cause is left out: it quotes what may be secret.
    except (ValueError, RecursionError):
        raise Problem('This is not JSON.') from None
    if not isinstance(document, dict):
        raise Problem('This is not a JSON object.')
    return Server(*(_text(document, key, needed) for key, needed in (
        ('instance-id', True), ('project-id', True), ('image-id', False),
        ('hostname', False))))


def _text(document: Mapping[str, Any], key: str, needed: bool) -> str:
    value = document.get(key)
    if value is None and not needed:
        return ''
    # Surrogates are not printable, so that it can be written as UTF-8.
    if not isinstance(value, str) or len(value) > _MAX_TEXT or (
            not value.isprintable()) or (needed and not value):
        raise Problem(f'{key} is missing, or not a text of one line and at '
                      f'most {_MAX_TEXT} characters.')
    return value


class Site:
    """The site's context, compiled anew when a file of it has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._compiled: Compiled | None = None

    def compiled(self) -> Compiled:
        """Return it as the files say now.

        The cache that nova-compute has is left alone: it belongs to
        another user.

        :raises ConfigError: something cannot be read, or is not of its
            schema
        """
        with self._lock:
            if self._compiled is None or not self._compiled.current():
                self._compiled = None
                self._compiled = compiler.compile_context(config.load())
            return self._compiled


class Vendor:
    """Makes the answers, and keeps them.

    :param conf: as :func:`hepix_vm.config.load` returns it
    :raises ConfigError: there is no account to ask Glance with
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        group = conf[opts.GROUP]
        self._max_bytes = group.vendordata_max_bytes
        self._catalogue = Catalogue(credentials.adapter(
            conf, credentials.IMAGE, _PATIENCE))
        self._answers: Answers[Answer] = Answers(
            group.vendordata_cache,
            lambda answer: sum(map(len, answer.values())))
        self._images: Answers[Image] = Answers(
            min(group.vendordata_cache, _SAME_IMAGE),
            lambda image: sum(map(len, image)))
        self._site = Site()
        self._sees_all = False

    def answer(self, target: str, server: Server) -> bytes:
        """Return the answer for a target, as JSON.

        :param target: one of :data:`TARGETS`
        :raises HepixVmError: it cannot be made now
        """
        return self._answers.get(server, lambda: self._make(server))[target]

    def _make(self, server: Server) -> Answer:
        facts = Facts(
            uuid=server.instance, hostname=server.hostname,
            project=server.project, image=self._images.get(
                server.image, lambda: self._image(server.image)))
        given = self._site.compiled().public(facts)
        scripts = {moment: single.script(moment, given)
                   for moment in bundle.MOMENTS}
        LOG.info('Server %s, project %s, image %s, VO %s: %d scripts',
                 facts.uuid, facts.project, facts.image.uuid or 'unknown',
                 facts.image.vo or 'unknown',
                 len(given.prolog) + len(given.epilog))
        return {TARGET: self._ours(facts, scripts),
                CLOUD_INIT: self._bounded(
                    cloudinit.message(scripts), facts) or _json('')}

    def _ours(self, facts: Facts, scripts: Mapping[str, bytes]) -> bytes:
        known = {'version': _VERSION, 'image': facts.image._asdict()}
        answer = self._bounded({**known, **{
            moment: script.decode() for moment, script in scripts.items()}},
            facts)
        # Rules about the image count on the drive all the same.
        return answer or _json({**known, 'note': (
            f'The scripts are left out: they are longer than '
            f'vendordata_max_bytes, {self._max_bytes} bytes.')})

    def _bounded(self, answer: Any, facts: Facts) -> bytes:
        """Return an answer as JSON; nothing, if it is too long."""
        data = _json(answer)
        if len(data) <= self._max_bytes:
            return data
        LOG.error('Server %s gets no scripts by vendor data: they have %d '
                  'bytes, and [hepix_vm] vendordata_max_bytes is %d',
                  facts.uuid, len(data), self._max_bytes)
        return b''

    def _image(self, image_id: str) -> Image:
        """Return what Glance says of an image; without one, nothing.

        :raises ServiceError: Glance does not say
        """
        found = self._catalogue.find(image_id) if image_id else None
        if found is None:
            if image_id and not self._sees_all:
                # Glance has none of what an account may not see.
                self._catalogue.check_administrator()
                self._sees_all = True
            return Image()
        return image_of(found)


def image_of(found: Mapping[str, Any]) -> Image:
    """Return what servers are told of an image of Glance.

    :param found: the image, as Glance shows it
    """
    # An image that was made from a server, or is no longer endorsed, may
    # have inherited the names, but its bytes are not those that were
    # endorsed under them: a user could have put there whatever asks for the
    # VO's context.
    if found.get('hepix_state') != 'endorsed':
        return Image(uuid=found['id'])
    return Image(found['id'], *(
        str(found.get(name, '')) for name in (
            'hepix_image_id', 'hepix_endorser_dn', 'hepix_vo')))


def _json(answer: Any) -> bytes:
    # Sorted, so that equal answers are equal bytes.
    return json.dumps(answer, sort_keys=True).encode()
