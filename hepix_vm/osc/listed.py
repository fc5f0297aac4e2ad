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

"""What commands show of image lists."""

from collections.abc import Iterable
from typing import Any

from osc_lib.cli.format_columns import ListColumn

from hepix_vm.exchange.candidate import Candidate
from hepix_vm.exchange.inventory import Former
from hepix_vm.exchange.inventory import Listed
from hepix_vm.exchange.oneline import clean
from hepix_vm.exchange.report import remedy_of
from hepix_vm.osc import columns
from hepix_vm.trust.endorsement import SignedList
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from hepix_vm.trust.verdict import Reason


def row(listed: Listed) -> dict[str, Any]:
    """Return what is shown of a list in a line."""
    return {
        **_signed(listed.signed), 'id': clean(listed.uuid),
        'state': str(listed.standing),
        'codes': ListColumn(list(dict.fromkeys(
            str(reason.code) for reason in listed.reasons))),
        'fetched': clean(listed.note.success), 'url': listed.url}


def in_full(listed: Listed, formers: Iterable[Former]) -> dict[str, Any]:
    """Return all that is shown of a list.

    :param formers: the versions of it that were replaced
    """
    image_list = listed.image_list
    return {
        **row(listed),
        'reasons': columns.Reasons(_reasons(listed.reasons)),
        'last_run': clean(listed.note.told), **_more(image_list),
        'images': columns.Images(
            [_image(each) for each in image_list.images]
            if image_list else []),
        'former_versions': columns.Versions(
            [_former(each) for each in formers])}


def judged(found: Candidate) -> dict[str, Any]:
    """Return what is shown of a list that may be accepted."""
    signed = found.signed
    return {
        'accepted': not found.reasons,
        'reasons': columns.Reasons(_reasons(found.reasons)),
        **_signed(signed),
        'certificate_expires': format_time(
            signed.certificate.not_valid_after_utc) if signed else '',
        'accepted_version': clean(found.old.version) if found.old else '',
        'changes': columns.Lines(list(found.changes))}


def described(image_list: ImageList | None) -> dict[str, Any]:
    """Return what is shown of what a list says of itself."""
    if image_list is None:
        return {'id': '', 'title': '', 'version': '', 'image_count': 0,
                'created': '', 'expires': ''}
    return {
        'id': image_list.identifier, 'title': clean(image_list.title),
        'version': clean(image_list.version),
        'image_count': len(image_list.images),
        'created': format_time(image_list.created),
        'expires': format_time(image_list.expires)}


def _signed(signed: SignedList | None) -> dict[str, Any]:
    signer = signed.signer if signed else None
    return {
        **described(signed.image_list if signed else None),
        'endorser_dn': clean(signer.dn) if signer else '',
        'endorser_ca': clean(signer.ca) if signer else ''}


def _reasons(found: Iterable[Reason]) -> columns.Dicts:
    # As an operator reads them who follows a list.
    return [{'code': str(reason.code), 'message': clean(reason.message),
             'remedy': reason.cure or remedy_of(reason.code)}
            for reason in found]


def _more(image_list: ImageList | None) -> dict[str, str]:
    names = ('description', 'source', 'vo', 'uri')
    return {name: clean(getattr(image_list, name, '')) for name in names} | {
        'endorser_email': clean(
            image_list.endorser.email if image_list else '')}


def _image(entry: ImageEntry) -> dict[str, Any]:
    return {
        'id': entry.identifier, 'title': clean(entry.title),
        'version': clean(entry.version), 'size': entry.size,
        'sha512': entry.sha512, 'architecture': clean(entry.arch),
        'os': clean(entry.os), 'distro': clean(
            f'{entry.osname} {entry.osversion}'),
        'hypervisor': clean(entry.hypervisor),
        'format': clean(entry.format), 'uri': clean(entry.uri),
        'expires': format_time(entry.expires) if entry.expires else ''}


def _former(former: Former) -> dict[str, Any]:
    image_list = former.image_list
    return {
        'version': clean(image_list.version) if image_list else '',
        'image_count': len(image_list.images) if image_list else 0,
        'replaced': format_time(former.replaced)}
