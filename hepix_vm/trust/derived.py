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

"""Images that were made from servers: snapshots, backups, shelved servers.

Nobody endorsed their bytes. A site may let them in all the same, and then
they go when the image goes that the server ran from. Of their content
that says nothing.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import datetime

from hepix_vm.errors import Code
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.policy import Moment
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.rules import in_question
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.settings import Choice
from hepix_vm.trust.settings import DerivedRule
from hepix_vm.trust.verdict import Exemption
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """What is known of where an image came from that a service brings.

    :param base: the image that the server ran from; None where the site
        asks for none
    :param kernel: properties of that image by which servers boot
    :param reasons: why it is not let in as an image made from a server
    :param cause: what went wrong, for the journal
    """

    base: Subject | None = None
    kernel: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    cause: str = ''


def choice_for(subject: Subject, rules: Iterable[DerivedRule]) -> Choice:
    """Return what the site does with images made from servers.

    The first matching rule counts. Where one may be meant, since the name
    of the project is not known, the strictest in question does.
    """
    possible = in_question(
        ((rule.choice, _matches(rule, subject)) for rule in rules),
        Choice.REFUSE)
    return next(choice for choice in Choice if choice in possible)


def _matches(rule: DerivedRule, subject: Subject) -> bool | None:
    """Return whether a rule speaks of an image; None if it may."""
    if rule.role:
        return None if subject.roles is None else rule.role in subject.roles
    if rule.project and rule.project not in subject.projects:
        return False if subject.names_known else None
    return True


def recorded(subject: Subject) -> Origin | None:
    """Return what was recorded when an image came, if it was derived.

    New bytes have no record: whoever brings them anew proves anew where
    they come from.
    """
    if subject.moment is Moment.STORE:
        return None
    record = subject.ledger.derived(subject.image_id, subject.sha512)
    if record is None:
        return None
    return Origin(Subject(
        at=subject.at, image_id=record.base,
        projects=frozenset({record.base_owner}), names_known=False,
        created=record.base_created,
        # What the image bears is as good, and may be newer.
        endorsement=subject.endorsement or record.base_endorsement,
        sha512=record.base_sha512, moment=subject.moment,
        # It bears what its base was endorsed by.
        listed_by=subject.listed_by) if record.base else None)


def judge(own: Verdict, origin: Origin, base: Verdict | None) -> Verdict:
    """Return the verdict on an image made from a server.

    :param own: the verdict on its bytes, as if nobody had endorsed them
    :param base: the verdict on the image that the server ran from, as it
        stands now; None where the site asks for none
    """
    if own.exemption or set(own.codes) != {Code.NOT_ENDORSED}:
        return own
    if origin.reasons:
        return dataclasses.replace(own, reasons=origin.reasons)
    if base is None:
        return dataclasses.replace(own, exemption=Exemption.DERIVED)
    own = dataclasses.replace(own, endorsement=base.endorsement)
    if base.endorsed or base.exemption:
        return dataclasses.replace(own, exemption=Exemption.DERIVED)
    return dataclasses.replace(own, reasons=tuple(
        _of_base(reason, origin) for reason in base.reasons))


def _of_base(reason: Reason, origin: Origin) -> Reason:
    """Return a reason against a base as one against what came of it."""
    if origin.base is None:
        return reason
    if reason.code is not Code.NOT_ENDORSED:
        return Reason(reason.code, f'The server ran from the image '
                      f'{origin.base.image_id}: {reason.message}')
    return Reason(Code.DERIVED_REFUSED, f'The server ran from the image '
                  f'{origin.base.image_id}, which nobody whom this site '
                  f'trusts has endorsed.')


def record_of(image_id: str, verdict: Verdict, origin: Origin,
              at: datetime.datetime) -> Record:
    """Return the record by which every later verdict knows the base.

    :param image_id: Glance's id of the image that was let in
    :param verdict: the verdict on it
    """
    record = Record(
        Fact.DERIVED, Blockable.GLANCE_IMAGE, image_id.lower(),
        'Nova was making an image of a server.', 'glance-api', at,
        sha512=verdict.sha512)
    base = origin.base
    if base is None:
        return record
    return dataclasses.replace(
        record, base=base.image_id, base_sha512=base.sha512,
        base_owner=next(iter(base.projects), ''),
        base_created=base.created,
        base_endorsement=(verdict.endorsement.message
                          if verdict.endorsement else ''))
