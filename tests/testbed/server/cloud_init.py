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

"""What cloud-init makes of a config drive, by cloud-init's own code.

Arguments: the folder that has cloud-init, a folder with the files of a
drive, and one that stands in for /var/lib/cloud. It prints JSON.
"""

import json
import pathlib
import sys
from types import SimpleNamespace
from typing import Any

sys.path.append(sys.argv[1])

from cloudinit.handlers import boot_hook  # noqa: E402 it is found there
from cloudinit.handlers import shell_script  # noqa: E402
from cloudinit import helpers  # noqa: E402
from cloudinit.settings import PER_INSTANCE  # noqa: E402
from cloudinit import sources  # noqa: E402
from cloudinit.sources import DataSourceConfigDrive  # noqa: E402
from cloudinit import user_data  # noqa: E402
from cloudinit import util  # noqa: E402

HANDLERS = {'text/cloud-boothook': boot_hook.BootHookPartHandler,
            'text/x-shellscript': shell_script.ShellScriptPartHandler}


def parts(data: Any, paths: helpers.Paths) -> list[dict[str, str]]:
    """Have the parts of vendor data handled, and return them."""
    found = []
    for part in user_data.UserDataProcessor(paths).process(data).walk():
        if part.get_content_maintype() == 'multipart':
            continue
        payload = util.fully_decoded_payload(part)
        kind, name = part.get_content_type(), part.get_filename()
        HANDLERS[kind](paths=paths, datasource=paths.datasource,
                       script_path='vendor_scripts').handle_part(
            'data', kind, name, payload, PER_INSTANCE)
        found.append({'type': kind, 'name': name, 'text': payload})
    return found


def main(unused: str, drive: str, cloud: str) -> None:
    """Read a drive."""
    paths = helpers.Paths(
        {'cloud_dir': cloud, 'run_dir': cloud},
        SimpleNamespace(get_instance_id=lambda: 'i-1'))
    results = DataSourceConfigDrive.read_config_drive(drive)
    vendor = sources.convert_vendordata(results['vendordata2'])
    print(json.dumps({
        'read': {name: repr(value) for name, value in results.items()},
        'user data': results['userdata'].decode(),
        'parts': parts(vendor, paths) if vendor else [],
        'written': sorted(
            str(path.relative_to(cloud)) for path in
            pathlib.Path(cloud).rglob('*') if path.is_file())}))


main(*sys.argv[1:])
