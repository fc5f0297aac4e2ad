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

"""A stand-in for Cinder, which lists volumes and does nothing else."""

from collections.abc import Mapping
import json
from typing import ClassVar
import urllib.parse

from tests.testbed import serving


class FakeCinder(serving.Served):
    """Lists volumes of all projects to whoever has a token.

    :param volumes: the image of which each was made, by the volume's id
    :param attached: server and device of those of which it says that
    """

    def __init__(self, volumes: Mapping[str, str],
                 attached: Mapping[str, tuple[str, str]] = {}) -> None:
        super().__init__(serving.web(_Volumes, found=[
            {'id': volume, 'volume_image_metadata': {'image_id': image},
             'attachments': [
                 {'server_id': server, 'device': device}
                 for server, device in [attached[volume]]]
             if volume in attached else []}
            for volume, image in volumes.items()]))
        self.url = f'http://127.0.0.1:{self.port}/v3'


class _Volumes(serving.Quiet):
    found: ClassVar[list[dict[str, object]]] = []

    def do_GET(self) -> None:
        place = urllib.parse.urlsplit(self.path)
        known = (place.path == '/v3/volumes/detail'
                 and 'all_tenants=1' in place.query.split('&')
                 and 'X-Auth-Token' in self.headers)
        body = json.dumps({'volumes': self.found}).encode()
        self.send_response(200 if known else 404)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
