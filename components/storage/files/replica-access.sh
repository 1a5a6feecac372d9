# shellcheck shell=bash
# The second storage host's way to this one: a login with its key alone, from its address alone, that can run one program
# alone (replica-serve), which reads what is replicated and nothing else.
#
# Delegation (zfs-allow(8)) would leave the login a shell, and not every ZFS enforces it; sudo rules for single commands
# cannot tell one dataset from another. So there is one rule, for one program that looks at every word.
#
# Values: LOGIN, REPLICA_KEY (public key of the second host), REPLICA_ADDRESS (where it comes from), SOURCES (datasets),
# SERVE_SCRIPT (where the program was put on this host).

readonly SERVE=/usr/local/lib/research-compute/replica-serve
readonly ACCESS_FOLDER=$CONFIG_FOLDER/replica-access
readonly LOGIN_HOME=$ACCESS_FOLDER/login
readonly HELD_FOLDER=$STATE_FOLDER/replica-access
: "${SUDOERS=/etc/sudoers.d/research-compute-replica}"

desired() {
    if [[ ! $REPLICA_KEY =~ ^ssh-ed25519\ [A-Za-z0-9+/=]+$ ]]; then
        # A look without the other host's answer (`labctl drift`) has nothing to compare the key with.
        if checking && [[ -z $REPLICA_KEY ]]; then return 0; fi
        refuse "the second storage host gave no key of its own"
    fi
    want_packages openssh-server procps sudo
    want_folder "$CONFIG_FOLDER" 0755
    want_folder "$ACCESS_FOLDER" 0755
    want_login
    # The login owns nothing, its own keys neither.
    want_folder "$LOGIN_HOME" 0755
    want_folder "$LOGIN_HOME/.ssh" 0755
    printf 'SOURCES=(%s)\n' "$(printf ' %q' "${SOURCES[@]}")" | want_file "$ACCESS_FOLDER/settings" 0644
    want_made_of "$SERVE" "$SERVE_SCRIPT"
    sudo_rules | want_file "$SUDOERS" 0440
    authorized_key | want_file "$LOGIN_HOME/.ssh/authorized_keys" 0644
    if ! checking; then visudo -cqf "$SUDOERS"; fi
}

# Nobody's data and no snapshot goes; what was held for the copy may be pruned again.
undo() {
    release_all
    want_absent "$SUDOERS" "$ACCESS_FOLDER" "$SERVE" "$HELD_FOLDER"
    if getent passwd -- "$LOGIN" >/dev/null; then
        changed "no login $LOGIN"
        # A connection that is still open keeps the login in use, for as long as its processes take to end.
        pkill -KILL -u "$LOGIN" || true
        wait_until 20 "$LOGIN to leave" is_nobody_there
        userdel -- "$LOGIN"
    fi
}

# A login with a password that nothing matches, which unlike a locked one lets its key in. Its shell runs the forced
# command and never anything else.
want_login() {
    local entry
    entry=$(getent passwd -- "$LOGIN" || true)
    if [[ -z $entry ]]; then
        changed "login $LOGIN"
        act useradd --system --user-group --no-create-home --home-dir "$LOGIN_HOME" --shell /bin/sh --password '*' -- "$LOGIN"
    elif [[ $entry != *":$LOGIN_HOME:/bin/sh" ]]; then
        changed "login $LOGIN"
        act usermod --home "$LOGIN_HOME" --shell /bin/sh -- "$LOGIN"
    fi
}

is_nobody_there() {
    if pgrep -u "$LOGIN"; then return 1; fi
}

sudo_rules() {
    cat <<RULES
# The second storage host reads what is replicated. The program refuses, and logs, everything else; a line in the log
# for each of its hundred questions an hour would only hide that.
Defaults!$SERVE !syslog, !log_input, !log_output, !use_pty, !requiretty, !pam_session
$LOGIN ALL=(root) NOPASSWD: $SERVE
RULES
}

authorized_key() {
    printf 'restrict,from="%s",command="sudo -n -- %s \\"$SSH_ORIGINAL_COMMAND\\"" %s\n' "$REPLICA_ADDRESS" "$SERVE" "$REPLICA_KEY"
}

release_all() {
    local snapshot held=()
    if ! command -v zfs >/dev/null; then return 0; fi
    if [[ -f $HELD_FOLDER/held ]]; then mapfile -t held <"$HELD_FOLDER/held"; fi
    for snapshot in "${held[@]}"; do
        zfs release research-compute-replica "$snapshot" 2>/dev/null || true
    done
}
