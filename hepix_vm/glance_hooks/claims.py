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

"""One upload of an image at a time.

An image's status does not tell whether its bytes are being written: Glance
saves whole rows, so that a request that fails, or a PATCH, can set the
image back to queued while another one writes. Two writers of one image can
each put their bytes behind the digest of the other.

What does hold is the mark of Glance's own imports: it is set and removed
atomically, no save touches it, and no two imports share an image
(glance.db.sqlalchemy.api, image_set_property_atomic). An upload takes the
same mark. An import may take it away, since Glance knows no task of ours;
then the upload sees that it is not alone any more.
"""

from types import TracebackType
from typing import Any
import uuid

import webob.exc

_MARK = 'os_glance_import_task'


class Claim:
    """That nobody else brings bytes of an image; a context manager.

    :param repo: the administrator's repository
    :param image: as it was judged so far
    :param taken: whether to take the mark; staged bytes are claimed by
        their import
    """

    def __init__(self, repo: Any, image: Any, taken: bool) -> None:
        self._repo = repo
        self._image = image
        self._judged = _formats(image)
        self._token = str(uuid.uuid4()) if taken else ''
        self.held = True

    def __enter__(self) -> 'Claim':
        """Take it.

        :raises webob.exc.HTTPConflict: somebody has it, or had it and left
            his bytes
        """
        from glance.common import exception

        if self._token:
            try:
                self._repo.set_property_atomic(
                    self._image, _MARK, self._token)
            except exception.Duplicate:
                raise webob.exc.HTTPConflict(
                    explanation='Another upload or import of the image goes '
                                'on.') from None
        try:
            self.check()
        except BaseException:
            self._drop()
            raise
        return self

    def check(self) -> None:
        """See that the image is still ours alone, and as it was judged.

        :raises webob.exc.HTTPConflict: it is not
        """
        image = self._repo.get(self._image.image_id)
        if image.locations:
            raise webob.exc.HTTPConflict(
                explanation='The image has data already, which an upload '
                            'that was disturbed left. Delete it, and begin '
                            'anew.')
        mark = image.extra_properties.get(_MARK, '')
        if (self._token and mark != self._token
                or _formats(image) != self._judged):
            raise webob.exc.HTTPConflict(
                explanation='The image was changed, or another upload or '
                            'import of it began, meanwhile.')

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Give it back; :attr:`held` says whether it was held till now."""
        self._drop()

    def _drop(self) -> None:
        from glance.common import exception

        if self._token:
            try:
                self._repo.delete_property_atomic(
                    self._image, _MARK, self._token)
            except exception.NotFound:
                self.held = False


def _formats(image: Any) -> tuple[str, str]:
    return image.disk_format, image.container_format
