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


"""Whether servers may boot from what they would boot from.

An image may name others that are booted with it, or in its place, and a
volume was made of something: all of it is followed, and each image judged.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections import deque
import dataclasses
import json
import re
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from hepix_vm.boot import Booter
from hepix_vm.boot import BootGate
from hepix_vm import config
from hepix_vm.errors import Code
from hepix_vm.held import Held
from hepix_vm.nova_ctx import bootable
from hepix_vm.nova_ctx.bootable import Wanted
from hepix_vm.nova_ctx.lookup import Lookup
from hepix_vm.nova_ctx.lookup import Unknown
from hepix_vm.nova_ctx.volumes import Volumes
from hepix_vm.projects import name_of
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.settings import Choice
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

LOG = logging.getLogger(__name__)

IMAGE, VOLUME, SNAPSHOT = 'image', 'volume', 'snapshot'

# A server boots from one image; more than a kernel, a ramdisk and some disks
# are an attempt to keep us busy. Each may cost a request.
_MOST = 32
# Both Glance and Cinder give out such ids. A path, or a query, would be
# followed by Nova to what it names, which may be another server.
_UUID = re.compile('[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}')
# The properties by which Nova takes other disks than the image's bytes.
_MAPPINGS = ('block_device_mapping', 'mappings')
_OPEN = ('public', 'community')


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """Something from which a server may not boot.

    :param kind: ``image``, ``volume`` or ``snapshot``
    :param identifier: Glance's or Cinder's id
    :param owner: id of the project that owns it; empty if everybody may
        know of it
    :param missing: whether it is refused since it is not there
    """

    verdict: Verdict
    kind: str = IMAGE
    identifier: str = ''
    owner: str = ''
    missing: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """Whether a server may boot.

    :param refusals: what it may not boot from
    :param unknown: why it cannot be told, if it cannot; then there are no
        refusals
    """

    refusals: tuple[Refusal, ...] = ()
    unknown: Verdict | None = None

    @property
    def allowed(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.refusals and self.unknown is None

    def explain(self) -> str:
        """Return the text that a refused user reads."""
        verdicts = [refusal.verdict for refusal in self.refusals]
        if self.unknown:
            verdicts.append(self.unknown)
        # Each once: a kernel may be named by several images.
        reasons = dict.fromkeys(
            reason for verdict in verdicts for reason in verdict.reasons)
        return Verdict(tuple(reasons)).explain()


def booter_of(context: Any) -> Booter:
    """Return who asks.

    :param context: Nova's
    """
    return Booter(
        context.user_id or '', context.project_id or '',
        frozenset(filter(None, {name_of(context)})),
        frozenset(filter(None, {context.project_domain_id,
                                context.project_domain_name})),
        frozenset(context.roles or ()))


class Boots:
    """Judges what servers would boot from; for several threads.

    :param gate: judges an image
    :param lookup: asks Glance
    :param volumes: asks Cinder
    """

    def __init__(self, gate: BootGate, lookup: Lookup,
                 volumes: Volumes) -> None:
        self.gate = gate
        self.lookup = lookup
        self.volumes = volumes

    @classmethod
    def of(cls, service: str, service_conf: cfg.ConfigOpts) -> 'Boots':
        """Return what a service of Nova asks.

        :param service: whose journal is written, such as ``nova-api``
        :param service_conf: its own configuration
        :raises ConfigError: hepix-vm.conf cannot be used, or has no account
        """
        conf = config.load(config.files_of(service_conf))
        lookup = Lookup(conf)
        return cls(BootGate(service, service_conf, lookup.ledger), lookup,
                   Volumes(conf))

    def judge(self, wanted: Wanted, booter: Booter, **who: str) -> Answer:
        """Return whether a server may boot from all of this.

        It is journalled, and nothing is raised.

        :param who: what the journal says besides: action, server, request
        """
        look = _Look(self, booter, who)
        try:
            look.at(wanted)
        except Unknown as error:
            # What is certain already needs no other answer.
            if not look.refusals:
                return self.unknown(error, booter, **{**who, **look.asking})
        except Exception:
            LOG.exception('It cannot be judged what would boot')
            return self.failed(booter, **who)
        return Answer(tuple(look.refusals))

    def failed(self, booter: Booter, **who: str) -> Answer:
        """Return the answer where something went wrong with us."""
        return self.refused(Reason(
            Code.INTERNAL_ERROR, 'It cannot be judged now what would boot.'),
            booter, **who)

    def refused(self, reason: Reason, booter: Booter, **who: str) -> Answer:
        """Return the answer for a reason that speaks of no image."""
        verdict = self.gate.refuse(reason, booter, **who)
        return Answer() if verdict.allowed else Answer((Refusal(verdict),))

    def unknown(self, error: Unknown, booter: Booter, **who: str) -> Answer:
        """Return the answer where somebody else does not answer."""
        reason = Reason.of(error)
        if self.gate.settings.on_unknown == 'allow':
            self._passed(reason, booter, who)
            return Answer()
        verdict = self.gate.refuse(reason, booter, **who)
        return Answer(unknown=None if verdict.allowed else verdict)

    def _passed(self, reason: Reason, booter: Booter,
                who: Mapping[str, str]) -> None:
        verdict = Verdict((reason,), mode=Mode.PERMISSIVE)
        self.gate.record({
            'time': format_time(self.gate.now()), 'event': 'verdict',
            'moment': 'run', 'image': '', 'user': booter.user,
            'project': booter.project, **who, **verdict.as_dict()})


@dataclasses.dataclass(frozen=True, slots=True)
class _Source:
    """Something that may be booted.

    :param what: it is, where the request does not name it itself
    :param kept: whether a copy of it may be booted though it is not there
    :param former: whether it does no harm if it is not there
    """

    kind: str
    identifier: str
    what: str = ''
    kept: bool = False
    former: bool = False


class _Look:
    """Follows all that one request boots."""

    def __init__(self, boots: Boots, booter: Booter,
                 who: Mapping[str, str]) -> None:
        self._boots = boots
        self._booter = booter
        self._who = who
        self.refusals: list[Refusal] = []
        # What is looked at, as the journal names it.
        self.asking: Mapping[str, str] = {}

    def at(self, wanted: Wanted) -> None:
        """Judge all of it.

        :raises Unknown: Glance or Cinder does not answer
        """
        ask = {IMAGE: self._image, VOLUME: self._volume,
               SNAPSHOT: self._snapshot}
        waiting, seen = deque(_sources(wanted)), set()
        while waiting:
            source = waiting.popleft()
            # In capitals it may be another image to Glance.
            key = source.kind, source.identifier
            if key in seen:
                continue
            seen.add(key)
            self.asking = {source.kind: source.identifier[:64]}
            if len(seen) > _MOST:
                self._refuse(Code.TOO_LARGE, f'More than {_MOST} images and '
                             f'volumes would be booted.', source)
                return
            if not _UUID.fullmatch(source.identifier):
                self._refuse(
                    Code.NOT_ENDORSED, f'{source.identifier[:64]!r} is not '
                    f'the id of an image or a volume of this cloud.', source)
                continue
            waiting.extend(ask[source.kind](source))

    def _image(self, source: _Source) -> Iterable[_Source]:
        image = self._boots.lookup.image(source.identifier)
        if image is None:
            return self._gone(source, 'Glance')
        verdict = self._boots.gate.judge(image, self._booter, **self._who)
        if not verdict.allowed:
            self._add(verdict, source, _owner(image))
            return ()
        return (*_started(image.extra, f'image {image.image_id}'),
                *self._mapped(source, image))

    def _mapped(self, source: _Source, image: Held) -> Iterable[_Source]:
        """Return the disks that Nova takes in place of an image."""
        named = [name for name in _MAPPINGS if _names_disks(image.extra, name)]
        if named and image.size:
            return self._refuse(
                Code.VOLUME_REFUSED, f'The image {image.image_id} has bytes, '
                f'and would boot from other disks, which its property '
                f'{named[0]} names.', source, _owner(image))
        try:
            found = list(bootable.sources(
                json.loads(image.extra.get(_MAPPINGS[0]) or '[]'),
                # Nova looks whether it is set, and to whatever.
                legacy=not image.extra.get('bdm_v2')))
        except (bootable.Unreadable, ValueError, RecursionError):
            return self._refuse(
                Code.VOLUME_REFUSED, f'It cannot be read what disks the '
                f'image {image.image_id} names.', source, _owner(image))
        return [_Source(kind, name, f'The {kind} {name[:64]}, which the '
                        f'image {image.image_id} names')
                for kind, name in found]

    def _volume(self, source: _Source) -> Iterable[_Source]:
        rule = self._boots.gate.site().policy.volumes
        if rule is Choice.REFUSE:
            return self._no_volumes(source)
        volume = self._boots.volumes.volume(source.identifier)
        if volume is None:
            return self._gone(source, 'Cinder')
        made = f'volume {source.identifier}'
        if any(volume.metadata.get(name) for name in _MAPPINGS):
            return self._refuse(
                Code.VOLUME_REFUSED, f'The {made} would boot from other '
                f'disks, which its metadata names.', source, volume.project)
        image_id = volume.metadata.get('image_id', '')
        if not image_id and rule is not Choice.ALLOW:
            return self._refuse(
                Code.VOLUME_REFUSED, f'Cinder does not say of what image the '
                f'{made} was made.', source, volume.project)
        return (*([_Source(IMAGE, image_id, f'The image {image_id}, of which '
                           f'the {made} was made', kept=rule is Choice.INHERIT,
                           former=rule is Choice.ALLOW)]
                  if image_id else ()), *_started(volume.metadata, made))

    def _snapshot(self, source: _Source) -> Iterable[_Source]:
        if self._boots.gate.site().policy.volumes is Choice.REFUSE:
            return self._no_volumes(source)
        snapshot = self._boots.volumes.snapshot(source.identifier)
        if snapshot is None:
            return self._gone(source, 'Cinder')
        return [_Source(VOLUME, snapshot.volume_id, f'The volume '
                        f'{snapshot.volume_id}, of which the snapshot '
                        f'{source.identifier} was made', kept=True)]

    def _no_volumes(self, source: _Source) -> Iterable[_Source]:
        return self._refuse(
            Code.VOLUME_REFUSED, f'This cloud boots no server from the '
            f'{source.kind} {source.identifier}: its origin cannot be '
            f'proved.', source)

    def _gone(self, source: _Source, service: str) -> Iterable[_Source]:
        """Judge what is not there.

        Nova would say so as well, but it asks later, when it may be there.
        """
        message = f'{service} has no {source.kind} {source.identifier}.'
        if source.kept:
            self._refuse(Code.NOT_ENDORSED, message, source)
        elif not source.former:
            self._add(Verdict((Reason(Code.NOT_ENDORSED, message),)), source,
                      missing=True)
        return ()

    def _refuse(self, code: Code, message: str, source: _Source,
                owner: str = '') -> Iterable[_Source]:
        """Refuse; there is nothing to follow then."""
        verdict = self._boots.gate.refuse(
            Reason(code, message), self._booter,
            **{**self._who, **self.asking})
        if not verdict.allowed:
            self._add(verdict, source, owner)
        return ()

    def _add(self, verdict: Verdict, source: _Source, owner: str = '',
             missing: bool = False) -> None:
        if source.what:
            verdict = dataclasses.replace(verdict, reasons=tuple(
                dataclasses.replace(
                    reason, message=f'{source.what}: {reason.message}')
                for reason in verdict.reasons))
        self.refusals.append(Refusal(
            verdict, source.kind, source.identifier, owner, missing))


def _sources(wanted: Wanted) -> Iterator[_Source]:
    # What must be there comes first: nothing is looked at twice.
    yield from (_Source(IMAGE, name, f'The image {name} of the server',
                        kept=True) for name in wanted.kept)
    for kind, names in ((IMAGE, wanted.images), (VOLUME, wanted.volumes),
                        (SNAPSHOT, wanted.snapshots)):
        yield from (_Source(kind, name) for name in names)
    yield from (_Source(IMAGE, name, f'The image {name} of the server',
                        former=True) for name in wanted.former)


def _started(extra: Mapping[str, str], of: str) -> Iterator[_Source]:
    """Yield the kernel and the ramdisk, as Nova takes them.

    :param of: that bears these properties
    """
    # As API._handle_kernel_and_ramdisk has it.
    if extra.get('kernel_id') == 'nokernel':
        return
    for kind in ('kernel', 'ramdisk'):
        if name := extra.get(f'{kind}_id'):
            yield _Source(IMAGE, name, f'The {kind} {name[:64]} of the {of}')


def _owner(image: Held) -> str:
    """Return whose an image is, if not everybody may know of it."""
    return '' if image.visibility in _OPEN else image.owner


def _names_disks(extra: Mapping[str, str], name: str) -> bool:
    try:
        return bool(json.loads(extra.get(name) or '[]') != [])
    except (ValueError, RecursionError):
        return True
