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

"""Prolog and epilog in the form that cloud-init runs (MIME multipart).

A part of the type ``text/cloud-boothook`` runs at each boot, as soon as
cloud-init has the vendor data; ``text/x-shellscript`` runs in its last
stage (``scripts-vendor``), once in the life of a server.
"""

import base64

_BOUNDARY = '==hepix-vm=='  # in no base64, RFC 2045 6.7
_TYPES = {'prolog': 'cloud-boothook', 'epilog': 'x-shellscript'}


def message(scripts: dict[str, bytes]) -> str:
    """Return what cloud-init takes for vendor data.

    :param scripts: by moment; what is empty is left out
    :returns: nothing, if there is nothing to run
    """
    parts = [_part(moment, scripts[moment])
             for moment in _TYPES if scripts[moment]]
    if not parts:
        return ''
    return (f'Content-Type: multipart/mixed; boundary="{_BOUNDARY}"\n'
            f'MIME-Version: 1.0\n\n' + ''.join(parts)
            + f'--{_BOUNDARY}--\n')


def _part(moment: str, script: bytes) -> str:
    return (f'--{_BOUNDARY}\n'
            f'Content-Type: text/{_TYPES[moment]}; charset="utf-8"\n'
            f'MIME-Version: 1.0\n'
            f'Content-Transfer-Encoding: base64\n'
            f'Content-Disposition: attachment; '
            f'filename="hepix-vm-{moment}"\n\n'
            + base64.encodebytes(script).decode() + '\n')
