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
"""What the record of an image says that is brought into Glance."""

from collections.abc import Mapping
import re
from typing import Any

from hepix_vm.exchange.catalogue import extra_of
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange.wanted import Wanted
from hepix_vm import properties
from hepix_vm.subscriptions import Properties
from hepix_vm.trust.imagelist import describe
from hepix_vm.trust.model import ImageEntry

# Glance keeps properties in a column of 64 KiB, and MySQL counts bytes.
_LONGEST = 16 * 1024  # characters
_MOST_RAM = 2**31 - 1  # MB; Glance's column
# Properties that Glance writes alone.
GLANCES = 'os_glance_'
# What a list says of an image is written once, and is its owner's then.
DESCRIBED = ('architecture', 'os_distro', 'os_version')
# Of a record, what users see and operators may change.
_SEEN = frozenset({
    'name', 'visibility', 'os_hidden', 'owner', 'min_ram', 'tags',
    *DESCRIBED})


def record_of(wanted: Wanted) -> dict[str, Any]:
    """Return a new image as Glance's API takes it.

    It is hidden and private until it has its bytes. What a verdict writes
    comes with the bytes; what is here says what they are to be.
    """
    entry = wanted.entry
    image_list = wanted.image_list
    described: dict[str, Any] = {
        'name': wanted.name, 'visibility': 'private', 'os_hidden': True,
        'disk_format': wanted.disk_format,
        'container_format': wanted.container_format,
        properties.SUBSCRIPTION: image_list.identifier,
        'hepix_sha512': entry.sha512, 'hepix_size': str(entry.size),
        'hepix_image_id': entry.identifier,
        'hepix_image_version': entry.version,
        'hepix_list_id': image_list.identifier,
        'hepix_list_version': image_list.version,
        'hepix_hypervisor': entry.hypervisor, 'hepix_uri': entry.uri,
        'hepix_vo': image_list.vo}
    owner = wanted.access.owner if wanted.access else ''
    return {
        **{name: properties.stored(value) if isinstance(value, str)
           else value for name, value in described.items()
           if value != ''},
        **compatible(wanted), **_ram(entry),
        **({'owner': owner} if owner else {})}


def renewal_of(wanted: Wanted) -> dict[str, Any]:
    """Return what makes the record of an evicted image that of another.

    What operators made of it stays. What only the older version was is
    gone, and comes with the bytes.
    """
    return {**dict.fromkeys(DESCRIBED), **{
        name: value for name, value in record_of(wanted).items()
        if name not in _SEEN}}


def made_of(image: Image, former: Image) -> dict[str, Any]:
    """Return what makes an image what another with its bytes is, or was.

    But for who sees it. What verdicts and Glance write is of each image.
    """
    values = {name: value for name, value in extra_of(former).items()
              if not _written(name)}
    lacking = {name for name in extra_of(image)
               if not _written(name) and name not in DESCRIBED} - values.keys()
    return {
        **dict.fromkeys(lacking), **values,
        'os_hidden': former['os_hidden'], 'protected': former['protected'],
        'min_disk': former['min_disk'], 'min_ram': former['min_ram'],
        'tags': sorted(former['tags'])}


def _written(name: str) -> bool:
    """Return whether a property is written by the gate, or by Glance."""
    return properties.is_ours(name) or name.startswith(GLANCES) or name in (
        properties.ENDORSEMENT, properties.CONFIG_DRIVE)


def compatible(wanted: Wanted) -> dict[str, Any]:
    """Return what other tools would have written of an image."""
    tools = wanted.following.compatibility
    found: dict[str, Any] = {}
    if Properties.ATROPE in tools:
        found |= {'tags': ['atrope'], **_short(_atrope(wanted))}
    if Properties.CLOUDKEEPER in tools:
        found |= _short(_cloudkeeper(wanted))
    return found


def lacking(image: Image, wanted: Wanted) -> dict[str, Any]:
    """Return what other tools would have written of an image, and is not.

    Of what they wrote when it was something else nothing is removed.
    """
    there = {**image, 'tags': sorted(image.get('tags', ()))}
    found = compatible(wanted)
    if 'tags' in found:
        found['tags'] = sorted({*there['tags'], *found['tags']})
    return {name: value for name, value in found.items()
            if there.get(name) != value}


def _atrope(wanted: Wanted) -> Mapping[str, str]:
    """As atrope 2.0 does; EGI's cloud-info-provider reads them.

    What it calls as the gate does, such as architecture, the gate writes.
    """
    entry = wanted.entry
    return {
        'vmcatcher_event_dc_description': entry.description,
        'vmcatcher_event_ad_mpuri': entry.extra_text('ad:mpuri'),
        'appdb_id': entry.identifier, 'sha512': entry.sha512,
        'APPLIANCE_ATTRIBUTES': describe(entry),
        'image_list': wanted.image_list.identifier,
        'vo': wanted.image_list.vo}


def _cloudkeeper(wanted: Wanted) -> Mapping[str, str]:
    """As cloudkeeper-os does."""
    entry = wanted.entry
    image_list = wanted.image_list
    expires = min(entry.expires or image_list.expires, image_list.expires)
    return {f'CLOUDKEEPER_{name}': value for name, value in {
        'title': entry.title, 'description': entry.description,
        'mpuri': entry.extra_text('ad:mpuri'),
        'group': entry.extra_text('ad:group'),
        'ram': entry.extra_text('hv:ram_minimum'),
        'core': entry.extra_text('hv:core_minimum'),
        'version': entry.version, 'architecture': entry.arch,
        'operating_system': ' '.join(filter(None, (
            entry.os, entry.osname, entry.osversion))),
        'vo': image_list.vo,
        'expiration_date': str(int(expires.timestamp())),
        'image_list_identifier': image_list.identifier,
        'base_mpuri': entry.extra_text('ad:base_mpuri'),
        'appid': entry.extra_text('ad:appid'), 'digest': entry.sha512}.items()}


def _short(values: Mapping[str, str]) -> dict[str, str]:
    """Leave out what says nothing, or more than Glance can keep."""
    return {name: properties.stored(value, _LONGEST)
            for name, value in values.items() if 0 < len(value) <= _LONGEST}


def _ram(entry: ImageEntry) -> dict[str, int]:
    """Return the least memory, which lists give in MB and as a text."""
    stated = entry.extra_text('hv:ram_minimum').strip()
    if not re.fullmatch(r'[0-9]{1,10}', stated, re.ASCII):
        return {}
    ram = int(stated)
    return {'min_ram': ram} if 0 < ram <= _MOST_RAM else {}
