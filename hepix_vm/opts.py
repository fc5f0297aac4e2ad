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

"""All options of the group ``[hepix_vm]``, and the groups that there are."""

import enum

from oslo_config import cfg
from oslo_config import types

from hepix_vm import credentials
from hepix_vm.trust.crl import CrlPolicy
from hepix_vm.trust.imagelist import DEFAULT_MAX_BYTES
from hepix_vm.trust.verdict import Mode

GROUP = 'hepix_vm'

# Without one of these an image could pass that nobody endorsed.
NEEDED_CHECKS = ('endorsement', 'checksum', 'expiry', 'revocation')


class Occasion(enum.StrEnum):
    """On what occasion the scheduler looks for a host."""

    CREATE = 'create'
    REBUILD = 'rebuild'
    UNSHELVE = 'unshelve'
    RESIZE = 'resize'
    MIGRATE = 'migrate'
    EVACUATE = 'evacuate'


# Without these the scripts would not be there, or would know nothing.
NEEDED_SOURCES = ('directory', 'template')

OPTS = [
    cfg.StrOpt(
        'enforcement', default=Mode.ENFORCING.value,
        choices=[
            (Mode.ENFORCING.value, 'refuse what is not endorsed'),
            (Mode.PERMISSIVE.value, 'let everything pass and journal what '
                                    'would have been refused'),
            (Mode.DISABLED.value, 'do not look at images at all'),
        ],
        help='What a refusal does. enforcement in policy.yaml sets it by '
             'project.'),
    cfg.StrOpt(
        'trust_anchors', default='/etc/grid-security/certificates',
        help='Folder of CA certificates, CRLs, signing policies and '
             'namespaces, as IGTF distributes them.'),
    cfg.StrOpt(
        'crl_policy', default=CrlPolicy.REQUIRE.value,
        choices=[
            (CrlPolicy.REQUIRE.value, 'every CA on the path needs a '
                                      'current CRL'),
            (CrlPolicy.IF_PRESENT.value, 'a CRL that is there must be '
                                         'current'),
            (CrlPolicy.IGNORE.value, 'revocation of certificates is not '
                                     'looked at'),
        ],
        help='Whether certificate revocation lists are needed.'),
    cfg.IntOpt(
        'crl_grace', default=72, min=0,
        help='Hours for which an accepted list still admits new images '
             'after a CRL on its path, or the certificate of its endorser, '
             'expired.'),
    cfg.ListOpt(
        'signer_purposes', default=['emailProtection'],
        help='Extended key usages that an endorser\'s certificate may be '
             'meant for, by OpenSSL\'s names or as OIDs. Some publishers '
             'sign with a host certificate: add serverAuth, clientAuth.'),
    cfg.BoolOpt(
        'allow_sha1', default=False,
        help='Whether image lists count whose signature is made with '
             'SHA-1. For old lists only: SHA-1 can be forged.'),
    cfg.IntOpt(
        'max_list_bytes', default=DEFAULT_MAX_BYTES, min=1024,
        help='Longest signed image list that is read, in bytes.'),
    cfg.IntOpt(
        'fetch_timeout', default=120, min=1, max=3600,
        help='Seconds in which a list must be fetched, with all attempts.'),
    cfg.IntOpt(
        'fetch_retries', default=3, min=0, max=10,
        help='How often fetching is tried again after an error that may '
             'pass: no connection, or an answer with status 429 or above '
             '499.'),
    cfg.StrOpt(
        'state_dir', default='/var/lib/hepix-vm',
        help='Folder of the accepted lists (lists/), of those that they '
             'replaced (previous/), of what is known of their servers '
             '(fetched/), and of the journal (journal/).'),
    cfg.IntOpt(
        'bring_time', default=7200, min=60,
        help='Seconds after which a run begins with no more images, and in '
             'which one that comes through hepix-vm has to come. Those that '
             'Glance fetches go on by themselves.'),
    cfg.StrOpt(
        'ledger_owner', default='hepix-vm',
        help='Owner of the records of the ledger in Glance. It must not be '
             'the id of a project, so that nobody can be scoped to it.'),
    cfg.StrOpt(
        'operator_role', default='admin',
        help='Role, beside admin, whose holders are operators: they may '
             'write our properties and reactivate images. '
             'property-protections.conf and glance-policy.yaml name it as '
             'well; hepix-vm-status property-protections merge writes the '
             'first.'),
    cfg.StrOpt(
        'policy_file', default='/etc/hepix-vm/policy.yaml',
        help='What this site decides: endorsers, blocked images, '
             'hypervisors, overrides.'),
    cfg.StrOpt(
        'subscriptions_file', default='/etc/hepix-vm/subscriptions.yaml',
        help='The image lists that this site follows. Without the file it '
             'follows none.'),
    cfg.StrOpt(
        'coordination_url', default='', secret=True,
        help='Where controllers agree which of them follows the lists, as '
             'tooz takes it, such as etcd3+http://127.0.0.1:2379. Without '
             'it only the runs of one controller keep out of each other\'s '
             'way.'),
    cfg.ListOpt(
        'endorsement_sources', default=['inline', 'lists'],
        help='Where endorsements are looked for, in this order: inline '
             '(the property hepix_endorsement), lists (accepted lists, by '
             'digest). The first that has one decides.'),
    cfg.ListOpt(
        'image_checks',
        default=[*NEEDED_CHECKS, 'hypervisor', 'format'],
        help=f'What is checked. {", ".join(NEEDED_CHECKS)} cannot be left '
             f'out.'),
    cfg.BoolOpt(
        'require_trait', default=False,
        help='Whether accepted images get trait:CUSTOM_HEPIX_ENDORSED='
             'required, so that they boot only on hosts that have the '
             'trait.'),
    cfg.ListOpt(
        'notifiers', default=['log'],
        help='Who is told what happens to lists and images: log, email, '
             'vmcatcher (an event handler program).'),
    cfg.StrOpt(
        'smtp_server', default='localhost',
        help='The mail server of the notifier email.'),
    cfg.PortOpt(
        'smtp_port', default=587, min=1, help='Its port.'),
    cfg.StrOpt(
        'smtp_tls', default='starttls',
        choices=[
            ('starttls', 'the connection is encrypted once it is there'),
            ('tls', 'it is encrypted from the beginning (port 465)'),
            ('none', 'it is not encrypted: for a server on this host'),
        ],
        help='How the connection to the mail server is encrypted. Its '
             'certificate is verified against the CAs of the system.'),
    cfg.StrOpt(
        'smtp_user', default='',
        help='Who we are for the mail server; empty where it does not ask.'),
    cfg.StrOpt(
        'smtp_password', default='', secret=True,
        help='The password for it.'),
    cfg.StrOpt(
        'mail_from', default='',
        help='Address from which mail is sent, with the name of the site '
             'before it: Example Site <images@example.org>.'),
    cfg.ListOpt(
        'operators', default=[],
        help='Mail addresses of the operators of this site.'),
    cfg.ListOpt(
        'vmcatcher_event_handler', default=[],
        help='The event handler of the notifier vmcatcher: the path of a '
             'program, and its arguments, with commas between them. No shell '
             'reads them.'),
    cfg.DictOpt(
        'vmcatcher_environment', default={}, secret=True,
        help='Variables that the event handler gets beside those of the '
             'event, such as VMCATCHER_CACHE_DIR_CACHE:/var/cache/images; '
             'with commas between them.'),
    cfg.StrOpt(
        'metrics_file', default='',
        help='File of metrics for Prometheus, in a folder of the textfile '
             'collector; its name must end with .prom. Without it there are '
             'none.'),
    cfg.StrOpt(
        'context_file', default='/etc/hepix-vm/context.yaml',
        help='What servers are told about this site: variables, and rules '
             'that choose scripts. The scripts are in the folder context/ '
             'beside it.'),
    cfg.ListOpt(
        'context_sources', default=list(NEEDED_SOURCES),
        help=f'Where the context of a server comes from: directory (what '
             f'the rules choose), template (the variables), hostcert (a '
             f'host certificate of its own). {", ".join(NEEDED_SOURCES)} '
             f'cannot be left out.'),
    cfg.StrOpt(
        'context_failure', default='fail',
        choices=[
            ('fail', 'the server is not started'),
            ('warn', 'it is started with a drive that has no context, and '
                     'the journal says so'),
        ],
        help='What hepix-vm-mkisofs does when the context of a server '
             'cannot be made.'),
    cfg.IntOpt(
        'context_timeout', default=30, min=1, max=3600,
        help='Seconds in which the context of a server must be made.'),
    cfg.StrOpt(
        'on_unknown', default='refuse',
        choices=[
            ('refuse', 'it is refused, with the status 503'),
            ('allow', 'it passes, and the journal says so'),
        ],
        help='What becomes of a request for a server when Glance, or Cinder '
             'where it is needed, does not say what it would boot.'),
    cfg.IntOpt(
        'boot_cache', default=10, min=0, max=3600,
        help='Seconds for which nova-api and nova-scheduler keep what Glance '
             'and Cinder said. As much later a revocation counts for them.'),
    cfg.IntOpt(
        'boot_timeout', default=10, min=1, max=600,
        help='Seconds for which they wait for Glance and Cinder, in all for '
             'one request.'),
    cfg.ListOpt(
        'enforce_on', default=['create', 'rebuild', 'unshelve'],
        item_type=types.String(choices=[str(each) for each in Occasion]),
        help='For what the scheduler filter judges images: create, rebuild, '
             'unshelve, resize, migrate (cold or live), evacuate. Without '
             'the last three, servers that run can be moved whatever '
             'becomes of their image.'),
    cfg.StrOpt(
        'vendordata_paste', default='/etc/hepix-vm/vendordata-paste.ini',
        help='The paste file of the vendordata service: what stands before '
             'it.'),
    cfg.ListOpt(
        'vendordata_roles', default=['service', 'admin'],
        help='Roles one of which who asks the vendordata service must have: '
             'the account of Nova.'),
    cfg.IntOpt(
        'vendordata_cache', default=300, min=0, max=86400,
        help='Seconds for which the vendordata service gives the same answer '
             'for a server. Nova asks six times for each config drive.'),
    cfg.IntOpt(
        'vendordata_max_bytes', default=512 * 1024, min=4096,
        help='Longest answer of the vendordata service, in bytes. A server '
             'whose scripts would make it longer gets none by vendor data.'),
]


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return the options for oslo-config-generator.

    :returns: pairs of group and options
    """
    return [(GROUP, OPTS), (credentials.GROUP, credentials.list_opts())]
