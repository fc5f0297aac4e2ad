#!/usr/bin/env python3
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

"""Keep all compute hosts for endorsed images, by a trait and an aggregate.

It does what doc/source/admin/boot.rst says, for all hosts that Nova knows;
what is so already stays. Run it again where hosts were added, after Nova
discovered them.
"""

import argparse
import sys
from typing import Any

import openstack
from openstack import exceptions

TRAIT = 'CUSTOM_HEPIX_ENDORSED'
AGGREGATE = 'endorsed'
_MICROVERSION = '1.6'
_ATTEMPTS = 5


def main() -> int:
    """Do it, and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--os-cloud', default='devstack-admin',
                        help='the administrator, of clouds.yaml '
                             '(devstack-admin)')
    cloud = openstack.connect(cloud=parser.parse_args().os_cloud)
    try:
        hypervisors = list(cloud.compute.hypervisors(details=True))
        _ask(cloud, 'PUT', f'/traits/{TRAIT}')
        for each in hypervisors:
            give_trait(cloud, each.name)
        gather(cloud, {each.service_details['host']
                       for each in hypervisors})
    except exceptions.SDKException as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


def give_trait(cloud: openstack.connection.Connection, name: str) -> None:
    """Give a host the trait, beside those that it has.

    :param name: of its hypervisor, which Placement calls it by
    :raises SDKException: Placement does not do so
    """
    found = _ask(cloud, 'GET', f'/resource_providers?name={name}')
    for provider in found['resource_providers']:
        path = f'/resource_providers/{provider["uuid"]}/traits'
        for attempt in range(_ATTEMPTS):
            now = _ask(cloud, 'GET', path)
            if TRAIT in now['traits']:
                break
            now['traits'].append(TRAIT)
            try:
                _ask(cloud, 'PUT', path, now)
            except exceptions.ConflictException:
                # nova-compute wrote its own meanwhile.
                if attempt == _ATTEMPTS - 1:
                    raise
        print(f'{name} has the trait {TRAIT}')


def gather(cloud: openstack.connection.Connection, hosts: set[str]) -> None:
    """Have an aggregate with these hosts, for images that ask for the trait.

    :param hosts: as nova-compute calls them
    :raises SDKException: Nova does not do so
    """
    compute = cloud.compute
    aggregate = next((each for each in compute.aggregates()
                      if each.name == AGGREGATE), None)
    if aggregate is None:
        aggregate = compute.create_aggregate(name=AGGREGATE)
    compute.set_aggregate_metadata(
        aggregate, {f'trait:{TRAIT}': 'required'})
    for host in sorted(hosts - set(aggregate.hosts or ())):
        compute.add_host_to_aggregate(aggregate, host)
        print(f'{host} is in the aggregate {AGGREGATE}')


def _ask(cloud: openstack.connection.Connection, method: str, path: str,
         body: object = None) -> Any:
    answer = cloud.placement.request(
        path, method, json=body, microversion=_MICROVERSION)
    exceptions.raise_from_response(answer)
    return answer.json() if answer.content else {}


if __name__ == '__main__':
    sys.exit(main())
