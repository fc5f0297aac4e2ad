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

"""Images, records and commands for a Glance that has no gate."""

import datetime
import json
import os

from hepix_vm.cmd import status
from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable
from tests.testbed.client import ADMIN
from tests.testbed.client import Identity
from tests.testbed import pki
from tests.testbed.site import entry

BOB = Identity(user='bob', project='cms')
ACCOUNT = 'ops:s3cret:admin'


def upload(client, data, **values):
    image_id = client.create(**values)
    assert client.put(image_id, data).status_code == 204
    return image_id


def write(cloud, fact, kind, value, text='', at=None, **more):
    """Write a record of the ledger as the gate in Glance does.

    :param text: what stands in it instead
    """
    record = Record(fact, kind, value, 'why', 'ops@example.org',
                    at or pki.utcnow(), **more)
    return cloud.client.as_(ADMIN).create(
        name=record.name, owner='hepix-vm', os_hidden=True, protected=True,
        visibility='private', disk_format=None, container_format=None,
        hepix_ledger=text or ledger.serialize(record))


def kept(cloud):
    """Return the records of the ledger."""
    admin = cloud.client.as_(ADMIN)
    images = admin.call('GET', '/v2/images?owner=hepix-vm&os_hidden=true'
                        '&sort=created_at:asc').json()['images']
    return [ledger.parse(image['hepix_ledger']) for image in images]


def run_audit(capsys, *more):
    """Run the audit; return status, images by id, and stderr."""
    code = status.main(['audit', '-f', 'json', *more])
    said = capsys.readouterr()
    assert 's3cret' not in said.out + said.err
    assert 'Traceback' not in said.err
    rows = json.loads(said.out) if said.out else []
    assert len({row['ID'] for row in rows}) == len(rows)
    return code, {row['ID']: row for row in rows}, said.err


def make_everything(cloud):
    """Make an image of each state; return their ids."""
    client, site = cloud.client, cloud.site
    names = ('endorsed', 'expired', 'revoked', 'blocked', 'adopted',
             'listed', 'refused', 'unknown', 'other')
    data = {name: os.urandom(100) for name in names}
    inline = {name: {'hepix_endorsement': site.endorse(data[name])}
              for name in ('endorsed', 'revoked', 'blocked')}
    inline['expired'] = {'hepix_endorsement': site.endorse(
        data['expired'], expires=pki.utcnow().replace(
            microsecond=0) - datetime.timedelta(minutes=5))}
    inline['refused'] = {'hepix_endorsement': site.endorse(
        data['refused'], signer=site.bob)}
    ids = {name: upload(client, data[name], name=name,
                        **inline.get(name, {})) for name in names}
    client.create(name='queued')
    site.accept(site.image_list(entry(data['listed'])))
    site.write_policy(blocked=[{'sha512': entry(data['blocked']).sha512,
                                'reason': 'CVE-2026-0001'}])
    write(cloud, Fact.REVOKED, Blockable.SHA512,
          entry(data['revoked']).sha512)
    write(cloud, Fact.ADOPTED, Blockable.GLANCE_IMAGE, ids['adopted'],
          sha512=entry(data['adopted']).sha512)
    cloud.glance.query("UPDATE images SET os_hash_algo = 'sha256' "
                      "WHERE id = ?", (ids['other'],))
    return ids
