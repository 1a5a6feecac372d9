# shellcheck shell=bash
# Encryption at rest: which change of the keys may be made now, and the API server's configuration of them.
#
# `identity` stands for no encryption at all. It is what a control plane without configuration has, every API server can
# read it, and it may be listed like a key: in the first place while the first real key is brought to every host.

# Whether WORD is one of the space-separated WORDS: has_word WORD WORDS
has_word() { [[ " $2 " == *" $1 "* ]]; }

# Say why the keys of this host may not be changed like that, and return 1; return 0 where they may.
#
# encryption_transition OLD NEW EVERYWHERE REWRITTEN: names of keys, separated by spaces, the one that writes first.
#   OLD         what this host's API server has now; empty: nothing is encrypted
#   NEW         what it is to have
#   EVERYWHERE  what the API server of every control-plane host has now
#   REWRITTEN   the key every Secret was last written anew with; empty: none, or another became first since
encryption_transition() {
    local old=${1:-identity} new=${2:-identity} everywhere=$3 rewritten=$4
    local old_first=${old%% *} new_first=${new%% *} name seen=''
    for name in $new; do
        if has_word "$name" "$seen"; then
            printf 'the key %s is listed twice\n' "$name"
            return 1
        fi
        seen+=" $name"
    done
    if [[ $new_first != "$old_first" ]]; then
        if ! has_word "$new_first" "$old identity" || ! has_word "$new_first" "$everywhere identity"; then
            printf 'the key %s would write before every control-plane host can read it; put it in second place' "$new_first"
            printf ' first (after %s), and in the first place with the next change\n' "$old_first"
            return 1
        fi
        for name in $old; do
            if ! has_word "$name" "$new identity"; then
                printf 'the key %s is taken away in the same change that lets %s write' "$name" "$new_first"
                printf '; keep it until every Secret is written anew with %s\n' "$new_first"
                return 1
            fi
        done
        return 0
    fi
    for name in $old; do
        if ! has_word "$name" "$new identity" && [[ $rewritten != "$new_first" ]]; then
            printf 'Secrets may still be encrypted with the key %s, which is taken away' "$name"
            printf '; have them all written anew with %s first (rewritten: %s)\n' "$new_first" "$new_first"
            return 1
        fi
    done
}

# Names of the keys in an API server's encryption configuration of ours, the one that writes first; nothing if no file.
encryption_keys_in() {
    local line names=()
    if [[ ! -f $1 ]]; then return 0; fi
    while IFS= read -r line; do
        case $line in
            '            - name: '*) names+=("${line##* }") ;;
            '      - identity: '*) names+=(identity) ;;
        esac
    done <"$1"
    # Reading what is not encrypted stays possible at the end of every configuration; it is no key of anybody's.
    if ((${#names[@]} > 1)) && [[ ${names[-1]} == identity ]]; then unset 'names[-1]'; fi
    printf '%s\n' "${names[*]}"
}

# The API server's encryption configuration, on stdout: encryption_configuration NAME SECRET [NAME SECRET]...
# (apiserver.config.k8s.io/v1). A provider holds one key, so that `identity` may stand anywhere among them.
encryption_configuration() {
    local plain='false'
    printf 'apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n'
    printf '  - resources:\n      - secrets\n    providers:\n'
    while (($#)); do
        if [[ $1 == identity ]]; then
            plain='true'
            printf '      - identity: {}\n'
        else
            printf '      - secretbox:\n          keys:\n            - name: %s\n              secret: %s\n' "$1" "$2"
        fi
        shift 2
    done
    if [[ $plain == false ]]; then printf '      - identity: {}\n'; fi
}

# Say which key of a configuration file has another secret than the one given, and return 1; return 0 where none has.
# encryption_same_secrets FILE NAME SECRET [NAME SECRET]...
encryption_same_secrets() {
    local file=$1 line name='' secret
    local -A had=()
    shift
    if [[ ! -f $file ]]; then return 0; fi
    while IFS= read -r line; do
        case $line in
            '            - name: '*) name=${line##* } ;;
            '              secret: '*) had[$name]=${line##* } ;;
        esac
    done <"$file"
    while (($#)); do
        name=$1 secret=$2
        if [[ -n ${had[$name]:-} && ${had[$name]} != "$secret" ]]; then
            printf 'the key %s has another secret on this host; give the new one another name\n' "$name"
            return 1
        fi
        shift 2
    done
}

# What the cluster remembers of the last time all Secrets were written anew: the key's name, or nothing.
# encryption_rewritten KUBECTL...
encryption_rewritten() {
    "$@" --namespace kube-system get configmap research-compute-encryption --ignore-not-found -o 'jsonpath={.data.rewritten}'
}

# Make the cluster forget it. To be called before another key becomes the first: what was written with that one since
# is not written with the key that the record names.
encryption_forget_rewritten() {
    "$@" --namespace kube-system delete configmap research-compute-encryption --ignore-not-found >&2
}
