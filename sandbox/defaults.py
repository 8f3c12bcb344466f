"""What every session has, whatever the layers say."""

from __future__ import annotations

from typing import Any

#: /etc is granted name by name: it also holds what is no one's business.
ETC = (
    "alternatives", "bash.bashrc", "bash_completion.d", "ca-certificates", "ca-certificates.conf", "crypto-policies",
    "debian_version", "default/locale", "environment", "fonts", "gai.conf", "gitconfig", "group", "host.conf",
    "hostname", "hosts", "inputrc", "java-11-openjdk", "java-17-openjdk", "java-21-openjdk", "java-25-openjdk",
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "locale.conf", "localtime", "login.defs",
    "lsb-release", "magic", "mime.types", "netconfig", "networks", "nix/nix.conf", "nsswitch.conf", "os-release",
    "passwd", "pki/ca-trust", "pki/tls/cert.pem", "pki/tls/certs", "pki/tls/openssl.cnf", "profile", "profile.d",
    "protocols", "python3", "rpc", "services", "shells", "static", "ssl/cert.pem", "ssl/certs", "ssl/openssl.cnf", "terminfo",
    "timezone", "vim", "xdg", "zsh",
)  # fmt: skip
PROGRAMS = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    "/run/current-system",
)
VARIABLES = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "EDITOR", "VISUAL", "PAGER",
    "NO_COLOR", "ANVILLM_SESSION", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME",
)  # fmt: skip
#: Where there is no role at all; a role says itself what may be done to the working directory.
WITHOUT_ROLE: dict[str, Any] = {"filesystem": {"rw": ["{CWD}"]}}
LAYER: dict[str, Any] = {
    "filesystem": {
        "rox": list(PROGRAMS),
        "rw": ["{TMPDIR}"],
        "ro": ["{CWD}", *(f"/etc/{name}" for name in ETC), "/sys/devices/system/cpu"],
    },
    "env": list(VARIABLES),
}
