#!/bin/bash
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

# The certification authority for tests, and the endorser that it certified.
# DevStack makes them (lib/hepix_vm_site). Nothing but test clouds may believe
# them: the keys lie open to whoever is the user of DevStack.

set -euo pipefail
umask 077

CA_NAME='/C=EU/O=hepix-vm/OU=DevStack/CN=Test CA'
ENDORSER_NAME='/C=EU/O=hepix-vm/OU=DevStack/CN=Test Endorser'
DAYS=3650
# With a CRL that ended Glance refuses all images. The service that follows
# lists may not read the key of a CA, so nobody renews this one between two
# stack.sh: it holds for as long as a test cloud lives.
CRL_DAYS=365
YEAR=31536000  # seconds

usage() {
    cat << EOF
usage: test-ca.sh make CA_DIR TRUST_ANCHORS
       test-ca.sh revoke|renew|crl|remove [CA_DIR]

make    makes what is missing of the CA and its endorser, and a new CRL; and
        puts certificate, CRL and signing policy into TRUST_ANCHORS
revoke  revokes the certificate of the endorser: from now on nothing counts
        that it signed
renew   gives the endorser of the same name another key and certificate
crl     makes a new CRL, which holds for $CRL_DAYS days
remove  removes what it made, and nothing else, from both folders

By default CA_DIR is HEPIX_VM_CA_DIR, or /opt/stack/data/hepix-vm/ca.
EOF
}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# What openssl says besides is shown where it failed only.
quietly() {
    local said
    said=$("$@" 2>&1) || die "this failed: $*"$'\n'"$said"
}

write_settings() {
    cat > "$ca/openssl.cnf" << EOF
[ca]
default_ca = test

[test]
database = $ca/index.txt
new_certs_dir = $ca/issued
serial = $ca/serial
crlnumber = $ca/crlnumber
certificate = $ca/ca.pem
private_key = $ca/ca.key
default_md = sha256
default_crl_days = $CRL_DAYS
policy = names
unique_subject = no
x509_extensions = endorser
crl_extensions = crl

[names]
countryName = supplied
organizationName = supplied
organizationalUnitName = supplied
commonName = supplied

[req]
distinguished_name = none
x509_extensions = authority

[none]

[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash

[endorser]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, nonRepudiation
extendedKeyUsage = emailProtection
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid

[crl]
authorityKeyIdentifier = keyid
EOF
}

make_ca() {
    if [[ ! -e $ca/ca.pem ]]; then
        rm -rf "$ca/issued"
        mkdir "$ca/issued"
        : > "$ca/index.txt"
        echo 01 > "$ca/serial"
        echo 01 > "$ca/crlnumber"
        quietly openssl req -config "$ca/openssl.cnf" -x509 -newkey rsa:2048 \
            -nodes -sha256 -days $DAYS -subj "$CA_NAME" \
            -keyout "$ca/ca.key" -out "$ca/ca.pem.new"
        # It is last: with it, the CA is whole.
        mv "$ca/ca.pem.new" "$ca/ca.pem"
    fi
    openssl x509 -in "$ca/ca.pem" -noout -checkend $YEAR > /dev/null || die \
        "the test CA in $ca ends in less than a year. Remove that folder;" \
        'the next stack.sh makes a new one.'
}

make_endorser() {
    quietly openssl req -config "$ca/openssl.cnf" -new -newkey rsa:2048 \
        -nodes -subj "$ENDORSER_NAME" -keyout "$ca/endorser.key.new" \
        -out "$ca/endorser.csr"
    quietly openssl ca -config "$ca/openssl.cnf" -batch -notext \
        -days $((DAYS - 30)) -in "$ca/endorser.csr" \
        -out "$ca/endorser.pem.new"
    rm "$ca/endorser.csr"
    mv "$ca/endorser.key.new" "$ca/endorser.key"
    mv "$ca/endorser.pem.new" "$ca/endorser.pem"
}

# Whether the endorser can sign: not revoked, for another year, and its key is
# that of its certificate.
endorser_counts() {
    local certified
    [[ -e $ca/endorser.pem && -e $ca/endorser.key ]] || return 1
    certified=$(openssl x509 -in "$ca/endorser.pem" -noout -pubkey)
    [[ $certified == "$(openssl pkey -in "$ca/endorser.key" -pubout)" ]] \
        && openssl x509 -in "$ca/endorser.pem" -noout -checkend $YEAR \
        && openssl verify -crl_check -CAfile "$ca/ca.pem" \
            -CRLfile "$ca/crl.pem" "$ca/endorser.pem"
} > /dev/null 2>&1

make_crl() {
    quietly openssl ca -config "$ca/openssl.cnf" -gencrl -out "$ca/crl.pem.new"
    mv "$ca/crl.pem.new" "$ca/crl.pem"
}

# publish FILE NAME: into the folder that the services read. It is renamed
# into place; what begins with a dot is no certificate to anybody.
publish() {
    local group
    group=$(stat -c %g "$anchors")
    sudo install -o root -g "$group" -m 0640 "$1" "$anchors/.$2.new"
    sudo mv "$anchors/.$2.new" "$anchors/$2"
}

publish_all() {
    local anchors hash
    anchors=$(< "$ca/anchors")
    hash=$(openssl x509 -in "$ca/ca.pem" -noout -hash)
    cat > "$ca/signing_policy" << EOF
access_id_CA X509 '$CA_NAME'
pos_rights globus CA:sign
cond_subjects globus '"${CA_NAME%/*}/*"'
EOF
    publish "$ca/ca.pem" "$hash.0"
    publish "$ca/crl.pem" "$hash.r0"
    publish "$ca/signing_policy" "$hash.signing_policy"
}

make() {
    printf '%s\n' "$1" > "$ca/anchors"
    write_settings
    make_ca
    make_crl
    if ! endorser_counts; then
        make_endorser
    fi
    publish_all
}

revoke() {
    endorser_counts || die "the endorser in $ca is revoked already, or" \
        "cannot sign for another reason. To have another: test-ca.sh renew $ca"
    quietly openssl ca -config "$ca/openssl.cnf" -revoke "$ca/endorser.pem" \
        -crl_reason keyCompromise
    make_crl
    publish_all
    echo "The endorser is revoked. To have another: test-ca.sh renew $ca"
}

# What others have put there stays.
remove() {
    local anchors hash name
    anchors=$(< "$ca/anchors")
    # It may be that no certificate was made.
    if hash=$(openssl x509 -in "$ca/ca.pem" -noout -hash 2> /dev/null); then
        for name in 0 r0 signing_policy; do
            sudo rm -f "$anchors/$hash.$name" "$anchors/.$hash.$name.new"
        done
    fi
    rm -rf "$ca/issued"
    for name in anchors ca.key ca.pem crl.pem crlnumber endorser.csr \
            endorser.key endorser.pem index.txt index.txt.attr lock \
            openssl.cnf serial signing_policy; do
        rm -f "$ca/$name" "$ca/$name.new" "$ca/$name.old"
    done
    rmdir --ignore-fail-on-non-empty "$ca"
}

given=$#
case ${1-} in
    -h | --help)
        usage
        exit
        ;;
    make) [[ $given -eq 3 ]] || given=wrong ;;
    revoke | renew | crl | remove) [[ $given -le 2 ]] || given=wrong ;;
    *) given=wrong ;;
esac
if [[ $given == wrong ]]; then
    usage >&2
    exit 2
fi
ca=$(realpath -m "${2:-${HEPIX_VM_CA_DIR:-/opt/stack/data/hepix-vm/ca}}")
[[ $1 == make || -e $ca/anchors ]] || die \
    "there is no test CA in $ca. Name the folder HEPIX_VM_CA_DIR of DevStack."
install -d -m 0700 "$ca"
# openssl does not keep two apart that write into its database.
exec {lock}> "$ca/lock"
flock "$lock"
case $1 in
    make) make "$3" ;;
    revoke) revoke ;;
    renew) make_endorser ;;
    crl)
        make_crl
        publish_all
        ;;
    remove) remove ;;
esac
