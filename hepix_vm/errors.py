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

"""One tree of errors; each has a stable code and says the remedy."""

from collections.abc import Mapping
import enum


class Code(enum.StrEnum):
    """Why something was refused; stable, documented, safe to script on."""

    UNSIGNED = 'unsigned'
    SIGNATURE_INVALID = 'signature-invalid'
    UNTRUSTED_CA = 'untrusted-ca'
    SIGNER_EXPIRED = 'signer-expired'
    SIGNER_REVOKED = 'signer-revoked'
    CRL_MISSING = 'crl-missing'
    CRL_EXPIRED = 'crl-expired'
    SIGNING_POLICY = 'signing-policy'
    ENDORSER_MISMATCH = 'endorser-mismatch'
    ENDORSER_NOT_ACCEPTED = 'endorser-not-accepted'
    LIST_EXPIRED = 'list-expired'
    LIST_NOT_YET_VALID = 'list-not-yet-valid'
    LIST_ROLLBACK = 'list-rollback'
    UUID_CONFLICT = 'uuid-conflict'
    IMAGE_EXPIRED = 'image-expired'
    IMAGE_REVOKED = 'image-revoked'
    IMAGE_SUPERSEDED = 'image-superseded'
    IMAGE_BLOCKED = 'image-blocked'
    NOT_APPROVED = 'not-approved'
    NOT_SHAREABLE = 'not-shareable'
    CHECKSUM_MISMATCH = 'checksum-mismatch'
    SIZE_MISMATCH = 'size-mismatch'
    HYPERVISOR_UNSUPPORTED = 'hypervisor-unsupported'
    FORMAT_MISMATCH = 'format-mismatch'
    FORMAT_UNSAFE = 'format-unsafe'
    NOT_ENDORSED = 'not-endorsed'
    DERIVED_REFUSED = 'derived-refused'
    VOLUME_REFUSED = 'volume-refused'
    ROUTE_CLOSED = 'route-closed'
    TOO_LARGE = 'too-large'
    UNAVAILABLE = 'unavailable'
    MALFORMED = 'malformed'
    INTERNAL_ERROR = 'internal-error'


REMEDIES: Mapping[Code, str] = {
    Code.UNSIGNED:
        'Sign the image list with the endorser\'s certificate.',
    Code.SIGNATURE_INVALID:
        'Sign the unchanged image list again, with one signer and SHA-256 '
        'or better.',
    Code.UNTRUSTED_CA:
        'Use a certificate of a CA that this site trusts, or ask the '
        'operator to install the CA.',
    Code.SIGNER_EXPIRED:
        'Renew the endorser\'s certificate and sign again.',
    Code.SIGNER_REVOKED:
        'Get a new certificate and sign again; ask the endorser whether '
        'the image is still sound.',
    Code.CRL_MISSING:
        'Ask the operator to install the CRL of this CA.',
    Code.CRL_EXPIRED:
        'Ask the operator to update the CRL of this CA.',
    Code.SIGNING_POLICY:
        'Use a certificate that the CA\'s signing policy covers.',
    Code.ENDORSER_MISMATCH:
        'State the signer\'s own DN and CA in hv:endorser and sign again.',
    Code.ENDORSER_NOT_ACCEPTED:
        'Ask the operator to accept this endorser, or use an image of one '
        'that is accepted.',
    Code.LIST_EXPIRED:
        'Ask the endorser for a renewed image list.',
    Code.LIST_NOT_YET_VALID:
        'Wait until the list is valid, or check the clocks.',
    Code.LIST_ROLLBACK:
        'Use the newest version of the image list.',
    Code.UUID_CONFLICT:
        'Ask the endorser to give list and image identifiers of their own.',
    Code.IMAGE_EXPIRED:
        'Ask the endorser to renew the endorsement.',
    Code.IMAGE_REVOKED:
        'Use a newer version of the image.',
    Code.IMAGE_SUPERSEDED:
        'Use the newer version of the image.',
    Code.IMAGE_BLOCKED:
        'Use another image, or ask the operator why this one is blocked.',
    Code.NOT_APPROVED:
        'Ask the operator to approve the image.',
    Code.NOT_SHAREABLE:
        'Ask the operator to mark the image as shareable.',
    Code.CHECKSUM_MISMATCH:
        'Upload the endorsed file unchanged, or have this one endorsed.',
    Code.SIZE_MISMATCH:
        'Upload the endorsed file whole and unchanged, or have this one '
        'endorsed.',
    Code.HYPERVISOR_UNSUPPORTED:
        'Use an image made for a hypervisor of this site.',
    Code.FORMAT_MISMATCH:
        'Set disk_format to what the endorsement says.',
    Code.FORMAT_UNSAFE:
        'Make the image again without references to other files.',
    Code.NOT_ENDORSED:
        'Set hepix_endorsement to an endorsement of exactly these bytes, '
        'or use an image that is on a list of this site.',
    Code.DERIVED_REFUSED:
        'Ask the operator whether this site allows images made from '
        'servers.',
    Code.VOLUME_REFUSED:
        'Boot from an endorsed image, or ask the operator whether servers '
        'may boot from volumes here.',
    Code.ROUTE_CLOSED:
        'Ask the operator of this cloud if you need it.',
    Code.TOO_LARGE:
        'Make it smaller, or ask the operator to raise the limit.',
    Code.UNAVAILABLE:
        'Try again in a minute, and tell the operator if it stays so.',
    Code.MALFORMED:
        'Mend the document and sign it again.',
    Code.INTERNAL_ERROR:
        'Tell the operator; the cause is in the service\'s log.',
}


class HepixVmError(Exception):
    """Base of all errors of this project.

    :param message: one plain sentence that a user can act on
    :param code: the stable code
    :param remedy: what to do about it; the code's own by default
    """

    default_code = Code.INTERNAL_ERROR

    def __init__(self, message: str, code: Code | None = None,
                 remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.remedy = remedy or REMEDIES[self.code]


class TrustError(HepixVmError):
    """A message, list or certificate that cannot be relied upon."""


class MalformedError(TrustError):
    """A document that is not of its format."""

    default_code = Code.MALFORMED


class ConfigError(HepixVmError):
    """A setting or a file of the operator's that cannot be used.

    :param message: one plain sentence that names what is wrong
    :param path: the file
    :param line: the line in the file, counted from 1
    """

    def __init__(self, message: str, path: str | None = None,
                 line: int | None = None,
                 remedy: str | None = None) -> None:
        where = f'{path}:{line}: ' if path and line else (
            f'{path}: ' if path else '')
        super().__init__(where + message, remedy=remedy or (
            'Correct the setting; hepix-vm refuses to guess.'))
        self.path = path


class ContextError(HepixVmError):
    """A context that cannot be made, or a drive that cannot be written."""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy or (
            'Correct it; hepix-vm-status context check shows what a server '
            'would get.'))


class FetchError(HepixVmError):
    """A list or an image that does not come from where it is kept."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy=remedy)


class PluginError(HepixVmError):
    """A plugin that is missing or cannot be loaded."""


class ServiceError(HepixVmError):
    """A service of OpenStack that gives no answer, or refuses.

    :param status: of its answer; 0 if there was none
    """

    def __init__(self, message: str, status: int, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status


def cause_of(error: Exception) -> str:
    """Return what went wrong, as the journal has it and no user."""
    return f'{type(error).__name__}: {error}'
