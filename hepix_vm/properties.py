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

"""From a verdict to the properties of a Glance image.

Properties show what was decided; they are never asked for it.
"""

import re

from hepix_vm.errors import Code
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.model import Endorsement
from hepix_vm.trust import standing
from hepix_vm.trust.verdict import Exemption
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

ENDORSEMENT = 'hepix_endorsement'
# Of a request for a list of images: without it, none of them is shown with
# its endorsement.
WANTED_HEADER = 'X-HEPiX-Endorsement'
WANTED = 'include'
CONFIG_DRIVE = 'img_config_drive'  # Nova's own; only we may write it
# That we took the image out of use, and not an operator, whose decision no
# verdict undoes.
WITHDRAWN = 'hepix_withdrawn'
# That nobody was told yet why it was: whoever took it out of use had nobody
# to tell it, and leaves it to the sweep.
UNTOLD = 'hepix_untold'
# The list for which we brought the image into Glance, and may take it out.
SUBSCRIPTION = 'hepix_subscription'
# With whom we shared it, in one word; members cost a request an image.
SHARED = 'hepix_shared'
# When it was taken off the shelf: superseded, dropped or unselected.
PARKED = 'hepix_parked'
# Who brings the image in, while its bytes are not there.
BRINGER = 'hepix_bringer'
# Which descriptions of the image were tried in vain.
TRIED = 'hepix_tried'
# No verdict changes these: they say what the sync did with the image.
KEPT = (SUBSCRIPTION, SHARED, PARKED)
# What a server boots besides its disk; only operators set it.
KERNEL = ('kernel_id', 'ramdisk_id', 'os_command_line')
# What an image has in place of data, if its server runs from a volume.
VOLUMES = ('block_device_mapping', 'bdm_v2')
TRAIT = 'trait:CUSTOM_HEPIX_ENDORSED'

# Glance keeps properties in a column of 64 KiB, where a name such as
# hv:uri of a list has no limit of its own.
LONGEST = 4096  # characters
# Beyond them, of Unicode, are four bytes in UTF-8, which Glance's columns
# in MySQL do not take.
_BEYOND = re.compile('[^\x00-\uffff]')

# How of_refusal begins each reason.
_REASON = re.compile(f'(?:^|; )({"|".join(Code)}): ')


def stored(text: str, longest: int = LONGEST) -> str:
    """Return a text as Glance can keep it of an image.

    :param longest: characters; each has three bytes at most
    """
    return _BEYOND.sub('?', text)[:longest]


def of_verdict(verdict: Verdict, altered: bool,
               require_trait: bool) -> dict[str, str]:
    """Return the properties of an image that passed.

    :param altered: whether the stored bytes differ from the endorsed ones
    :param require_trait: whether only hosts with the trait may boot it
    """
    properties = {
        'hepix_sha512': verdict.sha512,
        'hepix_size': '' if verdict.size is None else str(verdict.size),
        'hepix_altered': str(altered).lower(),
    }
    if verdict.reasons and verdict.exemption is not Exemption.DERIVED:
        # It passed because the mode is permissive.
        properties |= of_refusal(verdict, standing.state_of(verdict))
    else:
        properties['hepix_state'] = 'derived' if verdict.reasons else (
            'endorsed')
        properties[CONFIG_DRIVE] = 'mandatory'
        if verdict.endorsement:
            properties |= _of_endorsement(verdict.endorsement)
        if require_trait:
            properties[TRAIT] = 'required'
    return {name: value if name == ENDORSEMENT else stored(value)
            for name, value in properties.items() if value}


def of_refusal(verdict: Verdict, state: str) -> dict[str, str]:
    """Return the properties that say why an image is refused.

    What an operator said comes first: the end may be cut off.
    """
    return {'hepix_state': state, 'hepix_reason': stored('; '.join(
        f'{reason.code}: {reason.message}'
        for reason in standing.worst_first(verdict)))}


def reasons_in(text: str) -> list[Reason]:
    """Return what ``hepix_reason`` says.

    :param text: as :func:`of_refusal` writes it
    """
    other, *known = _REASON.split(text)
    # What another version of ours wrote, it may call otherwise.
    found = [Reason(Code.INTERNAL_ERROR, other)] if other else []
    return [*found, *map(Reason, map(Code, known[::2]), known[1::2])]


def is_ours(name: str) -> bool:
    """Return whether a property is written by us alone.

    MySQL takes names for one that differ in letter case only.
    """
    return name.lower() == TRAIT.lower() or (
        name.lower().startswith('hepix_') and name != ENDORSEMENT)


def is_of_verdict(name: str) -> bool:
    """Return whether a property says what a verdict was."""
    return is_ours(name) and name not in KEPT


def is_inherited(name: str) -> bool:
    """Return whether a service copies a property that we write anew.

    What names volumes is not among them: an image that lacks it would be
    another one.
    """
    name = name.lower()
    return (name.startswith(('hepix_', 'trait:custom_hepix_'))
            or name in (CONFIG_DRIVE, *KERNEL))


def _of_endorsement(endorsement: Endorsement) -> dict[str, str]:
    entry = endorsement.entry
    image_list = endorsement.image_list
    return {
        ENDORSEMENT: endorsement.message,
        'hepix_image_id': entry.identifier,
        'hepix_image_version': entry.version,
        'hepix_list_id': image_list.identifier,
        'hepix_list_version': image_list.version,
        'hepix_endorser_dn': endorsement.signer.dn,
        'hepix_endorser_ca': endorsement.signer.ca,
        'hepix_endorsed_at': format_time(image_list.created),
        'hepix_expires': format_time(endorsement.expires),
        'hepix_hypervisor': entry.hypervisor,
        'hepix_uri': entry.uri,
        'hepix_vo': image_list.vo,
        'hepix_production_date': str(entry.extra.get('dc:date:created', '')),
        'hepix_approved': str(endorsement.approved).lower(),
        'hepix_shareable': str(endorsement.shareable).lower(),
        'architecture': entry.arch,
        'os_distro': _os_distro(entry.osname or entry.os),
        'os_version': entry.osversion,
    }


def _os_distro(name: str) -> str:
    """Return an operating system's name in the form of os_distro."""
    return re.sub(r'\s+', '-', name.strip().lower())
