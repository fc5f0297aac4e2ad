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

"""``openstack image catalog``: the image lists of a site."""

import argparse
from collections.abc import Iterable
import datetime
from typing import Any
from typing import TYPE_CHECKING

from osc_lib.cli import format_columns

from hepix_vm.osc import base
from hepix_vm.osc import columns
from hepix_vm.osc import controller

if TYPE_CHECKING:
    from hepix_vm.exchange.inventory import Listed
    from hepix_vm.trust.model import ImageEntry
    from hepix_vm.trust.model import ImageList
    from hepix_vm.trust.verdict import Reason

_COLUMNS = {
    'ID': 'id', 'Title': 'title', 'Version': 'version', 'Images': 'images',
    'Expires': 'expires', 'State': 'state', 'Codes': 'codes'}
_LONG = {
    'Created': 'created', 'Fetched': 'fetched', 'Endorser': 'endorser_dn',
    'CA': 'endorser_ca', 'URL': 'url'}


class List(base.Lister):
    """List the image lists that this site follows or accepted.

    It reads the files of a controller, which hepix-vm.conf names
    (HEPIX_VM_CONFIG), and asks no cloud.
    """

    examples = ('openstack image catalog list',
                'openstack image catalog list --long -f json')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--long', action='store_true',
            help='also show when lists were made and fetched, who signed '
                 'them, and where they come from')
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace,
            ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the table."""
        shown = _COLUMNS | (_LONG if parsed_args.long else {})
        return tuple(shown), [
            tuple(fields[key] for key in shown.values())
            for fields in map(_fields, controller.lists()[0])]


class Show(base.ShowOne):
    """Show an image list of this site, and the images in it.

    It reads the files of a controller, which hepix-vm.conf names
    (HEPIX_VM_CONFIG), and asks no cloud.
    """

    examples = (
        'openstack image catalog show 8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11',
        'openstack image catalog show -f json -c images "Images of Atlas"')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument('list', metavar='LIST',
                            help='UUID or title of a list')
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace,
            ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the fields."""
        from hepix_vm.exchange import inventory

        found, site, store = controller.lists()
        listed = inventory.find(found, parsed_args.list)
        images = listed.image_list.images if listed.image_list else ()
        fields = {
            **_fields(listed),
            'reasons': columns.Reasons(reasons(listed.reasons)),
            'last_run': _clean(listed.note.told),
            **_more(listed.image_list),
            'images': columns.Images(list(map(_image, images))),
            'former_versions': columns.Versions([{
                'version': _clean(each.image_list.version)
                if each.image_list else '',
                'images': len(each.image_list.images)
                if each.image_list else 0,
                'replaced': _time(each.replaced)}
                for each in inventory.formers(store, listed.uuid, site.trust)
                ])}
        return tuple(fields), tuple(fields.values())


def reasons(found: Iterable['Reason']) -> columns.Dicts:
    """Return reasons as an operator who follows a list reads them."""
    from hepix_vm.exchange.report import remedy_of

    return [{'code': str(reason.code), 'message': _clean(reason.message),
             'remedy': reason.cure or remedy_of(reason.code)}
            for reason in found]


def _fields(listed: 'Listed') -> dict[str, Any]:
    """Return what is shown of a list in a line."""
    image_list = listed.image_list
    signer = listed.signed.signer if listed.signed else None
    return {
        'id': _clean(listed.uuid), 'title': _clean(listed.title),
        'version': _clean(image_list.version) if image_list else '',
        'images': len(image_list.images) if image_list else 0,
        'created': _time(image_list.created) if image_list else '',
        'expires': _time(image_list.expires) if image_list else '',
        'state': str(listed.standing),
        'codes': format_columns.ListColumn(list(dict.fromkeys(
            str(reason.code) for reason in listed.reasons))),
        'fetched': _clean(listed.note.success), 'url': listed.url,
        'endorser_dn': _clean(signer.dn) if signer else '',
        'endorser_ca': _clean(signer.ca) if signer else ''}


def _more(image_list: 'ImageList | None') -> dict[str, str]:
    names = ('description', 'source', 'vo', 'uri')
    return {name: _clean(getattr(image_list, name, '')) for name in names} | {
        'endorser_email': _clean(
            image_list.endorser.email if image_list else '')}


def _image(entry: 'ImageEntry') -> dict[str, Any]:
    return {
        'id': entry.identifier, 'title': _clean(entry.title),
        'version': _clean(entry.version), 'size': entry.size,
        'sha512': entry.sha512, 'architecture': _clean(entry.arch),
        'os': _clean(entry.os), 'distro': _clean(
            f'{entry.osname} {entry.osversion}'),
        'hypervisor': _clean(entry.hypervisor),
        'format': _clean(entry.format), 'uri': _clean(entry.uri),
        'expires': _time(entry.expires) if entry.expires else ''}


def _clean(text: str) -> str:
    """Return what others wrote as a line that a terminal may show."""
    from hepix_vm.exchange.oneline import clean

    return clean(text)


def _time(at: 'datetime.datetime') -> str:
    from hepix_vm.trust.imagelist import format_time

    return format_time(at)
