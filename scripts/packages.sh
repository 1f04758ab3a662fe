# Functions for what comes from the distribution, not from PyPI. Sourced by the other scripts.

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $*"
    exit 1
}

# Run a command as root; fails when this user is neither root nor allowed to use sudo without a password.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@" 2>/dev/null
    fi
}

may_install() { command -v apt-get >/dev/null && as_root true 2>/dev/null; }

# install_packages NAME...: succeeds when all are installed afterwards.
install_packages() {
    may_install || return 1
    say "installing from the distribution: $*"
    _apt_get install "$@" && return 0
    _apt_get update && _apt_get install "$@"
}

_apt_get() {
    action=$1
    shift
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$action" --yes \
        $([ "$action" = install ] && echo --no-install-recommends) "$@" </dev/null >/dev/null 2>&1
}

# Encrypted backups are made with gpg; nothing else needs it, so where it cannot be had only CI stops.
need_gpg() {
    if command -v gpg >/dev/null || install_packages gnupg; then return; fi
    [ "${CI:-}" != true ] || fail "gpg is missing and could not be installed"
    say "note: gpg is missing and this user may not install it; backups need it (as root: apt-get install gnupg)"
}
