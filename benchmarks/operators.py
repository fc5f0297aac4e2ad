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

"""What the openstack commands of operators cost with many images."""

import os
import pathlib
import statistics
import subprocess
import sys
import time

from benchmarks import audit
from benchmarks.measure import Figure
from benchmarks.measure import interleave
from benchmarks.workspace import Run
from hepix_vm import paths
from tests.testbed.site import Site

RATIO = 1.2
_BEARS = {
    'hepix_state': 'endorsed', 'hepix_expires': '2099-01-01T00:00:00Z',
    'hepix_vo': 'vo.example.org',
    'hepix_list_id': '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'}


def operators(run: Run) -> list[Figure]:
    """List 10,000 images with and without endorsements; audit them."""
    with audit.filled(run, 'operators', **_BEARS) as (site, glance):
        def openstack(*command: str) -> float:
            return _timed(site, glance.url, [*command, '-f', 'csv'])

        listed = interleave(
            lambda: openstack('image', 'list'),
            lambda: openstack('image', 'endorsement', 'list'), run.pairs)
        taken = [openstack('image', 'endorsement', 'audit', '--all-projects')
                 for _ in range(run.pairs)]
    return [
        Figure('operators', f'openstack image endorsement list of '
               f'{audit.IMAGES} images, against openstack image list',
               listed.ratio, RATIO, detail=f'median '
               f'{statistics.median(listed.ours):.1f} s, against '
               f'{statistics.median(listed.bare):.1f} s, in '
               f'{len(listed.ours)} pairs'),
        Figure('operators', f'openstack image endorsement audit of '
               f'{audit.IMAGES} images', statistics.median(taken),
               audit.SECONDS, 's', f'{min(taken):.1f} to {max(taken):.1f} s '
               f'in {len(taken)} runs')]


def _timed(site: Site, url: str, command: list[str]) -> float:
    """Run openstack as a program; return the seconds that it took.

    :param url: of the Glance
    """
    program = pathlib.Path(sys.executable).with_name('openstack')
    output = site.folder / 'output'
    start = time.perf_counter()
    with output.open('wb') as file:
        subprocess.run(
            [program, '--os-auth-type', 'admin_token', '--os-endpoint', url,
             '--os-token', audit.ACCOUNT, *command], stdout=file,
            stderr=subprocess.DEVNULL, check=True, env={
                **os.environ, paths.ENVIRONMENT: str(site.config),
                # The SDK asks admin_token for no endpoint.
                'OS_IMAGE_ENDPOINT_OVERRIDE': url})
    taken = time.perf_counter() - start
    assert len(output.read_text().splitlines()) == audit.IMAGES + 1
    return taken
