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

import http.server
import json
import threading
from typing import Any
import urllib.parse


class FakeCinder:
    """Lists volumes of all projects to whoever has a token.

    :param volumes: the image of which each was made, by the volume's id
    """

    def __init__(self, volumes: dict[str, str]) -> None:
        found = [{'id': volume, 'volume_image_metadata': {'image_id': image}}
                 for volume, image in volumes.items()]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                place = urllib.parse.urlsplit(self.path)
                known = (place.path == '/v3/volumes/detail'
                         and 'all_tenants=1' in place.query.split('&')
                         and 'X-Auth-Token' in self.headers)
                body = json.dumps({'volumes': found}).encode()
                self.send_response(200 if known else 404)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Be silent: the tests' output is theirs."""

        self._server = http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={'poll_interval': 0.05})
        self.url = f'http://127.0.0.1:{self._server.server_address[1]}/v3'

    def __enter__(self) -> 'FakeCinder':
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
