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

"""Where endorsements of an image are looked for."""

import abc
from collections.abc import Sequence

from hepix_vm.site import Site
from hepix_vm.trust import inline
from hepix_vm.trust.policy import Found
from hepix_vm.trust.policy import Moment
from hepix_vm.trust.policy import Subject


class EndorsementSource(abc.ABC):
    """What a plugin of ``hepix_vm.endorsement_sources`` implements."""

    @abc.abstractmethod
    def find(self, subject: Subject, site: Site) -> Sequence[Found] | None:
        """Return what the source knows of an image.

        :param subject: the image; its digest is empty before the bytes
            were read
        :param site: the site's settings, anchors and accepted lists
        :returns: nothing, when the source has no endorsement; None, when
            it cannot tell before the bytes were read
        """


class Inline(EndorsementSource):
    """The signed one-image list that the uploader set as a property."""

    def find(self, subject: Subject, site: Site) -> Sequence[Found] | None:
        """Return what the property ``hepix_endorsement`` says."""
        if not subject.endorsement:
            return ()
        return (inline.find_inline(
            subject, site.accepted, site.policy, site.anchors,
            site.trust),)


class Lists(EndorsementSource):
    """The lists that the site accepted, searched by digest."""

    def find(self, subject: Subject, site: Site) -> Sequence[Found] | None:
        """Return what the accepted lists say of the digest."""
        if not subject.sha512:
            # Of stored bytes Glance may know another digest only.
            kept = subject.moment is Moment.KEEP
            return None if not kept and site.accepted.may_hold(
                subject.size) else ()
        return site.accepted.find(subject, site.anchors, site.trust)
