# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Certificates of one test, in the layout of QEMU's tls-creds-x509; sourced.

command -v certtool > /dev/null || skip "certtool is missing (gnutls-bin)"

# authority DIR
authority() {
        mkdir "$1"
        printf '%s\n' "cn = $1" ca cert_signing_key \
                "expiration_days = 2" > "$1/template"
        certtool --generate-privkey --key-type=rsa --bits=2048 --outfile "$1/key.pem" 2>> certtool.log &&
                certtool --generate-self-signed --load-privkey "$1/key.pem" \
                        --template "$1/template" --outfile "$1/cert.pem" \
                        2>> certtool.log || fail "certtool: $(cat certtool.log)"
}

# issue DIR ROLE AUTHORITY LINE...: ROLE-cert.pem, ROLE-key.pem
issue() {
        local dir=$1 role=$2 authority=$3
        shift 3
        mkdir -p "$dir"
        printf '%s\n' "cn = $dir" signing_key encryption_key \
                "tls_www_$role" "$@" > "$dir/template"
        case $* in *expiration*) ;; *) echo "expiration_days = 2" ;; esac >> "$dir/template"
        case $* in *expiration*) echo "activation_date = 2019-01-01 00:00:00" ;; esac >> "$dir/template"
        certtool --generate-privkey --key-type=rsa --bits=2048 --outfile "$dir/$role-key.pem" \
                2>> certtool.log &&
                certtool --generate-certificate \
                        --load-privkey "$dir/$role-key.pem" \
                        --load-ca-certificate "$authority/cert.pem" \
                        --load-ca-privkey "$authority/key.pem" \
                        --template "$dir/template" \
                        --outfile "$dir/$role-cert.pem" 2>> certtool.log ||
                fail "certtool: $(cat certtool.log)"
}

# server DIR AUTHORITY LINE...
server() {
        issue "$1" server "${@:2}"
        cp "$2/cert.pem" "$1/ca-cert.pem"
}

# client DIR AUTHORITY [TRUSTED-AUTHORITY]
client() {
        issue "$1" client "$2"
        cp "${3:-$2}/cert.pem" "$1/ca-cert.pem"
}

# listens PORT: without connecting to it.
listens() {
        grep -qi ":$(printf %04x "$1") 0*:0000 0A" /proc/net/tcp /proc/net/tcp6
}
