"""``zfs get -t TYPE`` on hosts whose ZFS is zfs-fuse: sanoid lists snapshots with it, as every OpenZFS lets it.

It also writes down every command, so that a test sees what was really sent.
"""

from __future__ import annotations

from bed import Host

__all__ = ["calls", "forget_calls", "install_shim", "later"]

CALLS = "/var/log/zfs-calls"
SHIM = f"""#!/bin/bash
printf '%s\\n' "$*" >>{CALLS} 2>/dev/null
real=/sbin/zfs
if [[ ${{1:-}} != get ]]; then exec $real "$@"; fi
kept=() kind=''
while (($#)); do
    case $1 in
        -*t)
            kind=$2
            if [[ $1 != -t ]]; then kept+=("${{1%t}}"); fi
            shift
            ;;
        *) kept+=("$1") ;;
    esac
    shift
done
case $kind in
    '') exec $real "${{kept[@]}}" ;;
    snapshot)
        set -o pipefail
        $real "${{kept[@]}}" | awk -F '\\t' '$1 ~ /@/'
        ;;
    *)
        echo "invalid type '$kind'" >&2
        exit 1
        ;;
esac
"""
LATER = """package Later;
BEGIN { *CORE::GLOBAL::time = sub () { return CORE::time() + ($ENV{LATER_SECONDS} // 0) } }
1;
"""
"""A clock of perl's that is ahead: sanoid is a perl program, and the machine's clock is everybody's."""


def install_shim(host: Host) -> None:
    """Leave the shim where every program of the host finds it first."""
    host.run("cat > /usr/local/sbin/zfs; chmod 755 /usr/local/sbin/zfs", sudo=True, text=SHIM)
    host.run("mkdir -p /usr/local/lib/later; cat > /usr/local/lib/later/Later.pm", sudo=True, text=LATER)


def later(seconds: int) -> str:
    """Return what has a command's perl think that it is so much later."""
    return f"env LATER_SECONDS={seconds} PERL5OPT='-I/usr/local/lib/later -MLater'"


def forget_calls(host: Host) -> None:
    """Forget what ZFS was asked for so far."""
    host.console(f": > {CALLS}")


def calls(host: Host, verb: str) -> list[str]:
    """Return what ZFS was asked for since, of one verb, without questions for an estimate."""
    said = host.console(f"cat {CALLS}").splitlines()
    return [line for line in said if line.split()[0] == verb and "-nvP" not in line.split()]
