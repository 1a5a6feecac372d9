# shellcheck shell=bash
# shellcheck disable=SC2153 # SUBJECT is a value of the step's
# This control-plane host admits another host: it signs the certificate that host's kubelet begins with.
#
# Values: SUBJECT (the host), ADDRESS (its), ROLE, REQUEST, RECIPIENT, MEMBER (what its request said), TAINTS, ENDPOINT,
# CONTROL_PLANES (addresses of all hosts that are to be one).
# Results: certificate, ca (base64 PEM), pki (for a control-plane host: the cluster's shared keys, as CMS, which only the
# key of that host opens), endpoint, etcd (client URLs of its members). None is a secret and none expires before it is used. They are empty where the host
# is a member already, and where this host is not one: then the cluster is yet to be begun.

desired() {
    if [[ $MEMBER == true ]]; then
        log "$SUBJECT is a member"
        return 0
    fi
    if ! is_control_plane; then
        if api_answers "$ENDPOINT"; then
            fail "$STEP_HOST is to admit $SUBJECT, and is no member of the cluster at $ENDPOINT itself yet; the next run tries again"
        fi
        log "there is no cluster yet that $SUBJECT could be admitted to"
        return 0
    fi
    changed "admission of $SUBJECT"
    if checking; then return 0; fi
    local folder
    folder=$(mktemp --directory --tmpdir=/run research-compute-admit.XXXXXX)
    # shellcheck disable=SC2064 # this folder is meant
    trap "rm -rf -- '$folder'" EXIT
    base64 --decode <<<"$REQUEST" >"$folder/csr.pem"
    require_subject "$folder/csr.pem"
    forget_former_life
    sign "$folder"
    result certificate "$(base64 --wrap 0 "$folder/certificate.pem")"
    result ca "$(base64 --wrap 0 "$KUBERNETES_FOLDER/pki/ca.crt")"
    if [[ $ROLE == control-plane ]]; then
        base64 --decode <<<"$RECIPIENT" >"$folder/recipient.pem"
        result pki "$(sealed_keys "$folder/recipient.pem")"
    fi
    result endpoint "$ENDPOINT"
    result etcd "$(etcd_urls)"
}

# A certificate cannot be taken back; it is worth nothing without the host's key, and nothing after the host has left.
undo() { :; }

# A host is given its own name and no other: its certificate lets it do what the node of that name may.
require_subject() {
    local subject
    if ! subject=$(openssl req -in "$1" -noout -verify -subject -nameopt RFC2253 2>/dev/null); then
        refuse "$SUBJECT sent no certificate request (raise its reconverge by one for a new one)"
    fi
    if [[ $subject != "subject=CN=system:node:$SUBJECT,O=system:nodes" ]]; then
        refuse "$SUBJECT asks for a certificate of another: $subject"
    fi
}

# What an earlier life of this machine left in the cluster: the host says that it holds nothing of it any more.
forget_former_life() {
    if [[ $ROLE == control-plane ]]; then
        remove_etcd_member "https://$(authority "$ADDRESS" 2380)"
        remove_lost_members "${CONTROL_PLANES[@]}"
    fi
    # A node that exists is not given its taints by the kubelet that registers it again.
    if ((${#TAINTS[@]})) && [[ -n $(admin get node "$SUBJECT" --ignore-not-found -o name) ]]; then
        quietly admin taint --overwrite node "$SUBJECT" "${TAINTS[@]}"
    fi
}

etcd_urls() { etcd member list | sed -nE 's/^[^,]*, started, [^,]*, [^,]*, ([^,]+), false$/\1/p' | paste --serial --delimiters ' '; }

sign() {
    local folder=$1 digest name
    digest=$(sha256sum -- "$folder/csr.pem")
    name="research-compute-$SUBJECT-${digest:0:12}"
    quietly admin apply -f - <<REQUEST
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata:
  name: $name
spec:
  request: $REQUEST
  signerName: kubernetes.io/kube-apiserver-client-kubelet
  usages:
    - digital signature
    - client auth
REQUEST
    quietly admin certificate approve "$name"
    wait_until 60 "the certificate of $SUBJECT to be signed" certificate_signed "$name"
    admin get csr "$name" -o 'jsonpath={.status.certificate}' | base64 --decode >"$folder/certificate.pem"
    quietly admin delete csr "$name"
}

certificate_signed() { [[ -n $(admin get csr "$1" -o 'jsonpath={.status.certificate}') ]]; }

# The keys every control-plane host shares, on stdout, encrypted for one host (RFC 5652, and 5083: authenticated).
sealed_keys() {
    tar --create --directory "$KUBERNETES_FOLDER/pki" --owner 0 --group 0 --numeric-owner \
        ca.crt ca.key sa.key sa.pub front-proxy-ca.crt front-proxy-ca.key etcd/ca.crt etcd/ca.key |
        openssl cms -encrypt -binary -aes-256-gcm -outform DER "$1" | base64 --wrap 0
}
