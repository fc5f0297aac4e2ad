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

"""Reading ``subscriptions.yaml``: the lists that this site follows."""

from hepix_vm import policyfile
from hepix_vm.trust.settings import Subscription
from hepix_vm import yamlfile
from hepix_vm.yamlfile import Node

_APPROVE = ('automatically', 'by-operator')
# Read when lists are fetched and followed, not when images are judged.
_FOLLOWING = {'url', 'projects', 'share', 'images', 'prefix',
              'compatibility'}


def parse(data: bytes, path: str) -> tuple[Subscription, ...]:
    """Read the file.

    :param data: its bytes
    :param path: its name, for messages
    :raises ConfigError: something in it is not of the schema
    """
    root = yamlfile.parse(data, path)
    if root.value is None:
        return ()
    blocks = root.mapping({'lists'}, required=('lists',))['lists'].items()
    found: dict[str, Subscription] = {}
    for block in blocks:
        subscription = _subscription(block)
        if subscription.uuid in found:
            raise block.error(f'The list {subscription.uuid} is subscribed '
                              f'twice.')
        found[subscription.uuid] = subscription
    return tuple(found.values())


def _subscription(node: Node) -> Subscription:
    keys = node.mapping({'uuid', 'endorsers', 'approve', *_FOLLOWING},
                        required=('uuid', 'endorsers'))
    endorsers = tuple(map(policyfile.endorser, keys['endorsers'].items()))
    if not endorsers:
        raise keys['endorsers'].error(
            'At least one endorser must be pinned for a list.')
    approve = (keys['approve'].choice(_APPROVE)
               if 'approve' in keys else _APPROVE[0])
    return Subscription(policyfile.uuid(keys['uuid']), endorsers,
                        approved=approve == _APPROVE[0])
