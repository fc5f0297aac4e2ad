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

from oslo_log import log as logging
from taskflow.patterns import linear_flow
from taskflow import task
from taskflow.types import failure

LOG = logging.getLogger(__name__)

_CANNOT = ('Refused by the image trust policy of this cloud: '
           '[internal-error] The image cannot be judged now. Tell the '
           'operator; the cause is in the service\'s log.')


def get_flow(**kwargs: Any) -> linear_flow.Flow:
    """Return the tasks that Glance runs before it stores the bytes.

    :param kwargs: as glance.async_.flows.plugins passes them
    """
    return linear_flow.Flow(kwargs.get('task_type')).add(
        VerifyEndorsement(kwargs))


class VerifyEndorsement(task.Task):
    """Refuses the import of bytes that are not endorsed.

    :param known: what Glance tells its plugins
    """

    def __init__(self, known: dict[str, Any]) -> None:
        super().__init__(name=f'{known.get("task_type")}-HepixTrust-'
                              f'{known.get("task_id")}')
        self._known = known
        self._path = ''
        # What the properties that were written said before.
        self._before: dict[str, str | None] = {}

    def execute(self, file_path: str) -> None:
        """Judge the staged bytes.

        :param file_path: ``file://`` and the path of the staged file
        :raises glance.common.exception.UploadException: they are refused;
            its text is what the image's tasks show to the owner
        """
        from glance.common import exception

        self._path = file_path.removeprefix('file://')
        try:
            refusal = self._verify()
        except Exception:
            LOG.exception('The import of the image %s cannot be judged',
                          self._known.get('image_id'))
            refusal = _CANNOT
        if refusal:
            raise exception.UploadException(refusal)

    def _verify(self) -> str:
        """Judge the staged file, and mark the image if it passes.

        :returns: what the owner is told, or nothing if the image passes
        """
        from hepix_vm import gate
        from hepix_vm.glance_hooks import altering
        from hepix_vm.glance_hooks import images
        from hepix_vm.glance_hooks import properties
        from hepix_vm.glance_hooks import service
        from hepix_vm.glance_hooks import staged

        staged.settle(self._path)
        context = self._known['context']
        repo = images.repository(context)
        image = repo.get(self._known['image_id'])
        altered_by = altering.altered_by(image, self._path)
        the_gate = service.gate()
        subject = images.subject_of(
            image, context, the_gate.now(),
            size=os.stat(self._path).st_size, altered_by=altered_by)
        method = self._known['import_req']['method']['name']
        case = gate.Case(the_gate, subject, route=method,
                         **images.who(image, context))
        if case.disabled:
            return ''
        verdict = case.early() or case.judge(*staged.digest(self._path))
        if not verdict.allowed:
            return verdict.explain()
        self._mark(properties.of_verdict(
            verdict, altered=bool(altered_by),
            require_trait=the_gate.settings.require_trait))
        return ''

    def revert(self, result: Any, **kwargs: Any) -> None:
        """Leave the image as it was before the import.

        After web-download Glance does so itself; after glance-direct the
        image would stay importing for ever, and every retry be refused.

        :param result: what execute returned or raised
        """
        if isinstance(result, failure.Failure):
            LOG.info('Import of the image %s: %s',
                     self._known.get('image_id'), result.exception_str)
        try:
            self._restore()
        except Exception:
            # Glance keeps the lock if a revert raises.
            LOG.exception('The image %s cannot be put back after a failed '
                          'import', self._known.get('image_id'))

    def _restore(self) -> None:
        direct = self._known['import_req']['method']['name'] == (
            'glance-direct')
        with self._action() as action:
            _set(action, self._before)
            if not direct or action.image_status != 'importing':
                return
            action.set_image_attribute(status='queued', size=None)
            stores = [name for name in self._known.get('backend') or ()
                      if name]
            action.remove_importing_stores(stores)
            action.add_failed_stores(stores)
        if os.path.exists(self._path):
            os.unlink(self._path)

    def _mark(self, values: dict[str, str]) -> None:
        from hepix_vm.glance_hooks import properties

        with self._action() as action:
            before = action.image_extra_properties
            ours = filter(properties.is_ours, before)
            self._before = {name: before.get(name)
                            for name in {*values, *ours}}
            _set(action, dict.fromkeys(self._before) | values)

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
