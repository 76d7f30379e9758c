#!/bin/sh
# Makes the certificates of this folder, with keys that protect nothing: sh make.sh
set -e
cd "$(dirname "$0")"
ca() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -keyout "$1.key" -out "$1.pem" \
        -subj "/CN=A CA for tests" -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign"
}
leaf() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -keyout "$1.key" -out "$1.crt" \
        -subj "/CN=A server for tests" -CA "$2.pem" -CAkey "$2.key" -addext "subjectAltName=$3" \
        -addext "basicConstraints=critical,CA:FALSE" -addext "extendedKeyUsage=serverAuth"
    cat "$1.key" "$1.crt" > "$1.pem"
    rm "$1.key" "$1.crt"
}
ca ca
leaf server ca "DNS:localhost,IP:127.0.0.1"
leaf other ca "DNS:other.example"
rm ca.key
