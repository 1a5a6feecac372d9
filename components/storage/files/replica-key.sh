# shellcheck shell=bash
# A key pair of the second storage host's own, made here. The private one never leaves; the public one is the result.

readonly REPLICA_FOLDER=$CONFIG_FOLDER/replica
readonly KEY=$REPLICA_FOLDER/key

desired() {
    want_packages openssh-client
    want_folder "$CONFIG_FOLDER" 0755
    want_folder "$REPLICA_FOLDER" 0700
    if ! public_key >/dev/null 2>&1; then
        changed "key $KEY"
        if checking; then return 0; fi
        rm -f -- "$KEY.new" "$KEY.new.pub"
        ssh-keygen -q -t ed25519 -N '' -C "replica of $STEP_HOST" -f "$KEY.new"
        sync -- "$KEY.new"
        mv -f -- "$KEY.new" "$KEY"
        rm -f -- "$KEY.new.pub"
    fi
    result key "$(public_key)"
}

undo() {
    want_absent "$KEY" "$KEY.new" "$KEY.new.pub"
}

# Kind and key, without the comment.
public_key() {
    local line
    line=$(ssh-keygen -y -P '' -f "$KEY") || return 1
    cut -d ' ' -f 1,2 <<<"$line"
}
