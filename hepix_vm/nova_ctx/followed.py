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

"""What of all that a request would boot may not be booted.

An image may name others that are booted with it, or in its place, and a
volume was made of something: all of it is followed.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections import deque
import dataclasses
import json
import re

from hepix_vm.boot import Booter
from hepix_vm.boot import BootGate
from hepix_vm.deadline import Deadline
from hepix_vm.errors import Code
from hepix_vm.held import Held
from hepix_vm.held import STATUSES
from hepix_vm.nova_ctx import bootable
from hepix_vm.nova_ctx.bootable import IMAGE
from hepix_vm.nova_ctx.bootable import SNAPSHOT
from hepix_vm.nova_ctx.bootable import VOLUME
from hepix_vm.nova_ctx.bootable import Wanted
from hepix_vm.nova_ctx.lookup import Lookup
from hepix_vm.nova_ctx.lookup import Unknown
from hepix_vm.nova_ctx.refusal import Named
from hepix_vm.nova_ctx.refusal import Refusal
from hepix_vm.nova_ctx.volumes import Volumes
from hepix_vm.trust.settings import Choice
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

# A server boots from one image; more than a kernel, a ramdisk and some disks
# are an attempt to keep us busy. Each may cost a request.
MOST = 16
# Both Glance and Cinder give out such ids. A path, or a query, would be
# followed by Nova to what it names, which may be another server.
_UUID = re.compile('[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}')
# The properties by which Nova takes other disks than the image's bytes.
_MAPPINGS = ('block_device_mapping', 'mappings')
_OPEN = ('public', 'community')
# And that by which it names the root; other disks may come before it then.
_ROOT_NAME = 'root_device_name'
_APART = ('Attach it when the server runs, or leave out disk_bus, '
          'device_type and device_name of all disks.')


@dataclasses.dataclass(frozen=True, slots=True)
class _Source:
    """Something that may be booted.

    :param what: it is, where the request does not name it itself
    :param kept: whether a copy of it may be booted though it is not there
    :param former: whether it does no harm if it is not there
    :param led: what led to it, from what the request names on
    :param cure: what to do where it is refused; empty for what the code says
    """

    kind: str
    identifier: str
    what: str = ''
    kept: bool = False
    former: bool = False
    led: tuple[Named, ...] = ()
    cure: str = ''

    def named(self, owner: str = '') -> Named:
        """Return it as it is refused.

        :param owner: id of the project that owns it, if not everybody may
            know of it
        """
        return Named(self.kind, self.identifier, owner)


class Followed:
    """Follows all that one request boots.

    :param gate: judges an image
    :param lookup: asks Glance
    :param volumes: asks Cinder
    :param deadline: until when both are waited for
    :param who: what the journal says of the request
    """

    def __init__(self, gate: BootGate, lookup: Lookup, volumes: Volumes,
                 booter: Booter, deadline: Deadline,
                 who: Mapping[str, str]) -> None:
        self._gate = gate
        self._lookup = lookup
        self._volumes = volumes
        self._booter = booter
        self._who = who
        self._deadline = deadline
        self._journalled: dict[tuple[Code, str], Verdict] = {}
        self._beside: tuple[tuple[str, str], ...] = ()
        self.refusals: list[Refusal] = []
        # Why something cannot be judged, and what, as the journal has it.
        self.unknown: Unknown | None = None
        self.unknown_at: Mapping[str, str] = {}

    def at(self, wanted: Wanted) -> None:
        """Judge all of it, also if something of it is not known."""
        self._beside = wanted.beside
        waiting, seen = deque(_sources(wanted)), set()
        while waiting:
            source = waiting.popleft()
            # In capitals it may be another image to Glance.
            key = source.kind, source.identifier
            if key in seen:
                continue
            seen.add(key)
            if len(seen) > MOST:
                self._refuse(
                    Code.TOO_LARGE, f'More than {MOST} images and volumes '
                    f'would be booted.', source, cure='Boot from one image, '
                    'and attach other disks when the server runs.')
                return
            try:
                waiting.extend(self._looked_at(source))
            except Unknown as error:
                self._not_known(error, source)
            if any(refusal.missing for refusal in self.refusals):
                # In no mode does this boot: the rest need not be asked for.
                return

    def _looked_at(self, source: _Source) -> Iterable[_Source]:
        """Judge one, and return what it leads to.

        :raises Unknown: Glance or Cinder does not answer
        """
        if not _UUID.fullmatch(source.identifier):
            return self._refuse(
                Code.NOT_ENDORSED, f'{source.identifier[:64]!r} is not the '
                f'id of an image or a volume of this cloud.', source,
                cure='Name it by its id.')
        if source.kind == IMAGE:
            return self._image(source)
        return (self._volume if source.kind == VOLUME
                else self._snapshot)(source)

    def _not_known(self, error: Unknown, source: _Source) -> None:
        if self.unknown is None:
            self.unknown, self.unknown_at = error, _asking(source)

    def _image(self, source: _Source) -> Iterable[_Source]:
        image = self._lookup.image(source.identifier, self._deadline)
        if image is None or image.status not in STATUSES:
            return self._gone(source, 'Glance')
        try:
            verdict = self._gate.judge(
                image, self._booter,
                lambda: self._lookup.ledger(self._deadline), **self._who)
        except Unknown as error:
            self._not_known(error, source)
        else:
            if not verdict.allowed:
                self._add(verdict, source, _owner(image))
                return ()
        if image.status == 'deactivated':
            # A host may have a copy, which it rescues a server with.
            return self._refuse(
                Code.IMAGE_BLOCKED, f'The image {image.image_id} was taken '
                f'out of use.', source, _owner(image))
        led = (*source.led, source.named(_owner(image)))
        return (*_started(image.extra, f'image {image.image_id}', led),
                *self._mapped(source, image, led))

    def _mapped(self, source: _Source, image: Held,
                led: tuple[Named, ...]) -> Iterable[_Source]:
        """Return the disks that Nova takes in place of an image."""
        named = [name for name in _MAPPINGS if _names_disks(image.extra, name)]
        if named and image.size:
            return self._refuse(
                Code.VOLUME_REFUSED, f'The image {image.image_id} has bytes, '
                f'and would boot from other disks, which its property '
                f'{named[0]} names.', source, _owner(image),
                cure='Remove the property, or use another image.')
        try:
            found = list(bootable.sources(
                json.loads(image.extra.get(_MAPPINGS[0]) or '[]')))
        except (bootable.Unreadable, ValueError, RecursionError):
            return self._refuse(
                Code.VOLUME_REFUSED, f'It cannot be read what disks the '
                f'image {image.image_id} names.', source, _owner(image),
                cure=f'Correct its property {_MAPPINGS[0]}, or use another '
                f'image.')
        return (
            *(_Source(kind, name, f'The {kind} {name[:64]}, which the image '
                      f'{image.image_id} names', led=led)
              for kind, name in found),
            *(_instead(self._beside)
              if named or image.extra.get(_ROOT_NAME) else ()))

    def _volume(self, source: _Source) -> Iterable[_Source]:
        rule = self._gate.site().policy.volumes
        if rule is Choice.REFUSE:
            return self._no_volumes(source)
        volume = self._volumes.volume(source.identifier, self._deadline)
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
        led = (*source.led, source.named(volume.project))
        return (*([_Source(IMAGE, image_id, f'The image {image_id[:64]}, of '
                           f'which the {made} was made',
                           kept=rule is Choice.INHERIT,
                           former=rule is Choice.ALLOW, led=led)]
                  if image_id else ()),
                *_started(volume.metadata, made, led),
                *(_instead(self._beside)
                  if volume.metadata.get(_ROOT_NAME) else ()))

    def _snapshot(self, source: _Source) -> Iterable[_Source]:
        if self._gate.site().policy.volumes is Choice.REFUSE:
            return self._no_volumes(source)
        snapshot = self._volumes.snapshot(
            source.identifier, self._deadline)
        if snapshot is None:
            return self._gone(source, 'Cinder')
        return [_Source(VOLUME, snapshot.volume_id, f'The volume '
                        f'{snapshot.volume_id}, of which the snapshot '
                        f'{source.identifier} was made', kept=True,
                        led=(*source.led, source.named(snapshot.project)),
                        cure=source.cure)]

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
        cure = f'Boot from an endorsed image that {service} has.'
        if source.kept:
            return self._refuse(Code.NOT_ENDORSED, message, source, cure=cure)
        if not source.former:
            self._add(Verdict((Reason(
                Code.NOT_ENDORSED, message, cure=cure),)), source,
                missing=True)
        return ()

    def _refuse(self, code: Code, message: str, source: _Source,
                owner: str = '', cure: str = '') -> Iterable[_Source]:
        """Refuse; there is nothing to follow then.

        What is refused for the same reason is journalled once: a request may
        name what it likes.
        """
        cure = cure or source.cure
        reason = Reason(code, message, cure=cure)
        verdict = self._journalled.get((code, cure))
        if verdict is None:
            verdict = self._journalled[code, cure] = self._gate.refuse(
                reason, self._booter, **{**self._who, **_asking(source)})
        if not verdict.allowed:
            self._add(dataclasses.replace(verdict, reasons=(reason,)),
                      source, owner)
        return ()

    def _add(self, verdict: Verdict, source: _Source, owner: str = '',
             missing: bool = False) -> None:
        if source.what:
            verdict = dataclasses.replace(verdict, reasons=tuple(
                dataclasses.replace(
                    reason, message=f'{source.what}: {reason.message}')
                for reason in verdict.reasons))
        self.refusals.append(Refusal(
            verdict, source.named(owner), missing, source.led))


def _asking(source: _Source) -> dict[str, str]:
    """Return what is looked at, as the journal names it."""
    return {source.kind: source.identifier[:64]}


def _sources(wanted: Wanted) -> Iterator[_Source]:
    # What must be there comes first: nothing is looked at twice.
    yield from (_Source(IMAGE, name, f'The image {name} of the server',
                        kept=True) for name in wanted.kept)
    for kind, names in ((IMAGE, wanted.images), (VOLUME, wanted.volumes),
                        (SNAPSHOT, wanted.snapshots)):
        yield from (_Source(kind, name) for name in names)
    yield from (_Source(IMAGE, name, f'The image {name} of the server',
                        former=True) for name in wanted.former)
    yield from _instead(wanted.instead)


def _instead(found: Iterable[tuple[str, str]]) -> Iterator[_Source]:
    """Yield what may be the first disk, though it is not to be booted."""
    yield from (_Source(kind, name, f'The {kind} {name[:64]}, which may be '
                        f'booted in place of the root disk', cure=_APART)
                for kind, name in found)


def _started(extra: Mapping[str, str], of: str,
             led: tuple[Named, ...]) -> Iterator[_Source]:
    """Yield the kernel and the ramdisk, as Nova takes them.

    :param of: that bears these properties
    """
    # As API._handle_kernel_and_ramdisk has it.
    if extra.get('kernel_id') == 'nokernel':
        return
    for kind in ('kernel', 'ramdisk'):
        if name := extra.get(f'{kind}_id'):
            yield _Source(IMAGE, name, f'The {kind} {name[:64]} of the {of}',
                          led=led)


def _owner(image: Held) -> str:
    """Return whose an image is, if not everybody may know of it."""
    return '' if image.visibility in _OPEN else image.owner


def _names_disks(extra: Mapping[str, str], name: str) -> bool:
    try:
        return bool(json.loads(extra.get(name) or '[]') != [])
    except (ValueError, RecursionError):
        return True
