#!/bin/bash
# Say which file systems have no snapshot of the schedule's that is new enough:
#   snapshot-ages LIMIT_SECONDS DATASET...               of these and all beneath them
#   snapshot-ages --only FILE LIMIT_SECONDS DATASET...   of those among them that a file lists, one a line
# One line for each; it ends with 1 if there is any. A file system without a snapshot counts as old as it is.
set -Eeuo pipefail
export LC_ALL=C PATH="${PATH:-/usr/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

only=/dev/null
if [[ ${1:-} == --only ]]; then
    only=$2
    shift 2
fi
limit=$1
shift

# A snapshot has its dataset's name before the @; bookmarks (#) are none.
zfs get -Hpr -o name,value creation "$@" | awk -F '\t' -v now="$(date +%s)" -v limit="$limit" -v only="$only" '
    function worded(seconds) {
        if (seconds >= 172800) return sprintf("%d days", seconds / 86400)
        if (seconds >= 7200) return sprintf("%d hours", seconds / 3600)
        return sprintf("%d minutes", seconds / 60)
    }
    BEGIN {
        while ((getline line <only) > 0) { wanted[line] = 1; listed = 1 }
    }
    $1 ~ /#/ { next }
    $1 ~ /@/ {
        split($1, part, "@")
        if (part[2] ~ /^autosnap_/ && $2 + 0 > newest[part[1]]) newest[part[1]] = $2 + 0
        next
    }
    { made[$1] = $2 + 0 }
    END {
        for (name in made) {
            if (listed && !(name in wanted)) continue
            since = (name in newest) ? newest[name] : made[name]
            if (now - since <= limit) continue
            what = (name in newest) ? "newest snapshot of " name " is " worded(now - since) " old" : name " has no snapshot"
            print what ", which should be newer than " worded(limit)
            late = 1
        }
        for (name in wanted) {
            if (name in made) continue
            print name " is not there"
            late = 1
        }
        exit late
    }
' | LC_ALL=C sort
