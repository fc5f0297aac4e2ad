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

"""Import plugin ``hepix_trust`` of Glance: staged and downloaded bytes.

It must be the first of ``image_import_plugins``: after a plugin that
alters the bytes the endorsed digest can never match.

Glance logs a plugin that does not load, or whose ``get_flow`` raises, and
activates the image without it. So this module imports little, and
whatever goes wrong later is a refusal.
"""

import os
from typing import Any
from typing import TYPE_CHECKING

from oslo_log import log as logging
from taskflow.patterns import linear_flow
from taskflow import task
from taskflow.types import failure

if TYPE_CHECKING:
    from hepix_vm.gate import Case
    from hepix_vm.trust.verdict import Verdict

LOG = logging.getLogger(__name__)

_CANNOT = ('Refused by the image trust policy of this cloud: '
           '[internal-error] The image cannot be judged now. Tell the '
           'operator; the cause is in the service\'s log.')
_HAS_DATA = ('The image has data already, which an upload that was disturbed '
             'left. Delete it, and begin anew.')


def get_flow(**kwargs: Any) -> linear_flow.Flow:
    """Return the tasks that Glance runs before it stores the bytes.

    :param kwargs: as glance.async_.flows.plugins passes them
    """
    return linear_flow.Flow(kwargs.get('task_type')).add(
        VerifyEndorsement(kwargs))


class VerifyEndorsement(task.Task):
    """Refuses the import of bytes that are not endorsed.

    The file is judged, and stored, under a name of our own: the one that
    Glance gave it can be removed and made anew by uploads that fail or
    begin meanwhile.

    :param known: what Glance tells its plugins
    """

    default_provides = 'file_path'

    def __init__(self, known: dict[str, Any]) -> None:
        super().__init__(name=f'{known.get("task_type")}-HepixTrust-'
                              f'{known.get("task_id")}')
        self._known = known
        self._staged = ''
        self._path = ''
        # What the properties that were written said before.
        self._before: dict[str, str | None] = {}
        self._altered_by = ''
        self._has_data = False
        self._formats: dict[str, str] = {}

    def execute(self, file_path: str) -> str:
        """Judge the staged bytes.

        :param file_path: ``file://`` and the path of the staged file
        :returns: the same, of the file that was judged
        :raises glance.common.exception.UploadException: they are refused;
            its text is what the image's tasks show to the owner
        """
        from glance.common import exception

        self._staged = self._path = file_path.removeprefix('file://')
        try:
            refusal = self._verify()
        except Exception:
            LOG.exception('The import of the image %s cannot be judged',
                          self._known.get('image_id'))
            refusal = _CANNOT
        if refusal:
            raise exception.UploadException(refusal)
        return f'file://{self._path}'

    def _verify(self) -> str:
        """Judge the staged file, and mark the image if it passes.

        :returns: what the owner is told, or nothing if the image passes
        """
        from hepix_vm.glance_hooks import staged
        from hepix_vm.trust.verdict import Mode

        if self._case().disabled:
            return ''
        if self._has_data:
            return _HAS_DATA
        self._path = staged.take(self._staged)
        verdict = self._case().early()
        if verdict is None:
            measured = staged.digest(self._path)
            # The image is looked at again once the bytes were read: its
            # owner may have changed it meanwhile.
            verdict = self._case().judge(*measured)
        if not verdict.allowed:
            return verdict.explain()
        if verdict.mode is not Mode.DISABLED:
            self._mark(verdict)
        return ''

    def _case(self) -> 'Case':
        """Return the image as it is now, before the gate."""
        from hepix_vm.gate import Case
        from hepix_vm.glance_hooks import altering
        from hepix_vm.glance_hooks import images
        from hepix_vm.glance_hooks import service

        context = self._known['context']
        image = images.repository(context).get(self._known['image_id'])
        gate = service.gate()
        self._altered_by = altering.altered_by(image, self._path)
        self._has_data = bool(image.locations)
        self._formats = {'disk_format': image.disk_format,
                         'container_format': image.container_format}
        return Case(
            gate, images.subject_of(
                image, context, gate.now(),
                size=os.stat(self._path).st_size,
                altered_by=self._altered_by),
            route=self._known['import_req']['method']['name'],
            **images.who(image, context))

    def revert(self, result: Any, **kwargs: Any) -> None:
        """Leave the image as it was before the import.

        After web-download Glance does so itself; after glance-direct the
        image would stay importing for ever, and every retry be refused.

        :param result: what execute returned or raised
        """
        if isinstance(result, failure.Failure):
            LOG.info('Import of the image %s: %s',
                     self._known.get('image_id'), result.exception_str)
        for step in (self._restore, self._drop):
            try:
                step()
            except Exception:
                # Glance keeps the lock if a revert raises.
                LOG.exception('The image %s cannot be put back after a '
                              'failed import', self._known.get('image_id'))

    def _drop(self) -> None:
        """Remove the file, or leave it where Glance will."""
        if not os.path.exists(self._path):
            return
        if self._direct or (self._path != self._staged
                            and os.path.exists(self._staged)):
            os.unlink(self._path)
        else:
            os.rename(self._path, self._staged)

    @property
    def _direct(self) -> bool:
        """Whether the image was staged by its owner."""
        method: str = self._known['import_req']['method']['name']
        return method == 'glance-direct'

    def _restore(self) -> None:
        with self._action() as action:
            _set(action, self._before)
            if self._direct and action.image_status == 'importing':
                action.set_image_attribute(status='queued', size=None)
                stores = [name for name in self._known.get('backend') or ()
                          if name]
                action.remove_importing_stores(stores)
                action.add_failed_stores(stores)

    def _mark(self, verdict: 'Verdict') -> None:
        from hepix_vm.glance_hooks import service
        from hepix_vm import properties

        values = properties.of_verdict(
            verdict, altered=bool(self._altered_by),
            require_trait=service.gate().settings.require_trait)
        with self._action() as action:
            before = action.image_extra_properties
            ours = filter(properties.is_of_verdict, before)
            self._before = {name: before.get(name)
                            for name in {*values, *ours}}
            _set(action, dict.fromkeys(self._before) | values)
            # What was judged, whatever the owner made of it since.
            action.set_image_attribute(**self._formats)

    def _action(self) -> Any:
        """Return Glance's way to change an image that is being imported.

        As administrator: the wrapper that Glance hands to plugins acts as
        the user, to whom our properties are protected.
        """
        from glance.async_.flows import api_image_import

        from hepix_vm.glance_hooks import images

        return api_image_import.ImportActionWrapper(
            images.repository(self._known['context']),
            self._known['image_id'], self._known['task_id'])


def _set(action: Any, values: dict[str, str | None]) -> None:
    """Set properties, and take out those without a value."""
    for name, value in values.items():
        if value is None:
            action.pop_extra_property(name)
        else:
            action.set_image_extra_properties({name: value})
