# shellcheck shell=bash
# This host asks to be admitted: a key that never leaves it, and a certificate request made with it.
#
# Values: ROLE (control-plane or worker), RECONVERGE: with every number there is a new request, where one is needed.
# Results: csr, recipient (base64 PEM; a certificate that secrets can be encrypted for, of a control-plane host alone),
# member (whether the host needed no request, because it was a member), holds_cluster (whether it held a cluster's CA or
# etcd's data). They are what was true when the request was made, and stay so on every later run.

desired() {
    local folder=$STATE_FOLDER/join/$RECONVERGE line
    if [[ ! -f $folder/answer ]]; then
        changed "request $RECONVERGE"
        act make_request "$folder"
    fi
    if [[ -f $folder/answer ]]; then
        while IFS= read -r line; do result "${line%%=*}" "${line#*=}"; done <"$folder/answer"
    fi
    act forget_other_requests
}

undo() { want_absent "$STATE_FOLDER/join"; }

make_request() {
    local folder=$1 csr='' recipient='' member='false' holds='false'
    if is_member; then member='true'; fi
    if holds_cluster; then holds='true'; fi
    rm -rf -- "$folder"
    install -d -m 0700 -- "$STATE_FOLDER" "$STATE_FOLDER/join" "$folder"
    if [[ $member == false ]]; then
        (
            umask 077
            quietly openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$folder/key.pem"
        )
        quietly openssl req -new -batch -key "$folder/key.pem" -subj "/O=system:nodes/CN=system:node:$STEP_HOST" -out "$folder/csr.pem"
        csr=$(base64 --wrap 0 "$folder/csr.pem")
        if [[ $ROLE == control-plane ]]; then
            # Valid as long as X.509 can say: it names a key to encrypt for, and vouches for nobody.
            quietly openssl req -x509 -batch -key "$folder/key.pem" -subj "/CN=$STEP_HOST" -days 36500 \
                -addext 'keyUsage=critical,keyAgreement' -out "$folder/recipient.pem"
            recipient=$(base64 --wrap 0 "$folder/recipient.pem")
        fi
    fi
    printf '%s\n' "csr=$csr" "recipient=$recipient" "member=$member" "holds_cluster=$holds" |
        write_atomically "$folder/answer" 0600 "$(id -un):$(id -gn)"
}

forget_other_requests() {
    local other
    for other in "$STATE_FOLDER/join"/*; do
        if [[ -d $other && ${other##*/} != "$RECONVERGE" ]]; then rm -rf -- "$other"; fi
    done
}
