"""Failures of the hub's configuration."""

from collections.abc import Sequence

from components.errors import ConfigurationError

__all__ = [
    "ChoiceTwiceError",
    "ContradictingPartsError",
    "CullingIntervalError",
    "DefaultChoicesError",
    "DefaultClassError",
    "DirectoryGroupsError",
    "DirectoryPasswordError",
    "EmptyLimitError",
    "FolderError",
    "GpuCullingPrometheusError",
    "GroupsClaimError",
    "GuaranteeAboveLimitError",
    "HubVariableError",
    "IdentityNameError",
    "IdentityRangeError",
    "MissingBindPasswordError",
    "MissingClientSecretError",
    "MissingDatabasePasswordError",
    "NoAdminError",
    "NobodyAllowedError",
    "PrometheusPlaceError",
    "ProviderFilterError",
    "RefreshAgeError",
    "SaidNowhereError",
    "SaidTwiceError",
    "SidecarTwiceError",
    "SizeTwiceError",
    "UnknownGroupsError",
    "UnofferedSliceError",
    "VariableNameError",
    "WebProxyError",
]


class ContradictingPartsError(ValueError):
    """Two parts of the hub's plan say different things of one setting: a mistake of this program."""

    def __init__(self, where: str, key: str) -> None:
        super().__init__(f"two parts of the hub's plan say different things of {where}.{key}")


class NobodyAllowedError(ConfigurationError):
    """A hub that nobody may enter: JupyterHub 5 lets nobody in unless told otherwise."""

    def __init__(self, *ways: str) -> None:
        super().__init__(
            what="nobody is allowed to sign in", remedy=f"give one of {', '.join(ways)}, or set everyone: true"
        )


class ProviderFilterError(ConfigurationError):
    """Everybody allowed beside a narrower choice, which would then mean nothing."""

    def __init__(self, *given: str) -> None:
        super().__init__(
            what=f"everyone: true makes {', '.join(given)} meaningless", remedy="drop everyone, or drop the others"
        )


class GroupsClaimError(ConfigurationError):
    """Groups are allowed, but nothing says who is in them."""

    def __init__(self) -> None:
        super().__init__(
            what="groups may sign in, but no claim tells them", remedy="set groupsClaim to the claim's name"
        )


class GuaranteeAboveLimitError(ConfigurationError):
    """A profile is guaranteed more than it may use."""

    def __init__(self, *, quantity: str, guarantee: object, limit: object) -> None:
        super().__init__(
            what=f"the guarantee of {guarantee} {quantity} is above the limit of {limit}",
            remedy=f"guarantee at most {limit}",
        )


class CullingIntervalError(ConfigurationError):
    """A cull that looks less often than it allows servers to be idle."""

    def __init__(self, every: object, idle: object) -> None:
        super().__init__(
            what=f"idle servers are looked for every {every}, later than the {idle} they may be idle",
            remedy=f"look at least every {idle}",
        )


class UnofferedSliceError(LookupError):
    """A profile's slice that no GPU offers, used although the checks refused it."""

    def __init__(self, slug: str, slice_name: str) -> None:
        super().__init__(f"hub.profiles: {slug} asks for the GPU slice {slice_name}, which nobody offers")


class MissingClientSecretError(LookupError):
    """A sign-in without the secret it takes: a provider's client secret, a directory's password."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: its configuration key has no value; set it by pulumi config set --secret KEY")


class MissingDatabasePasswordError(LookupError):
    """A database on a server, without the password of the hub's role there."""

    def __init__(self) -> None:
        super().__init__(
            "hub.database.password: its configuration key has no value; set it by pulumi config set --secret KEY"
        )


class WebProxyError(ConfigurationError):
    """A web proxy that is wanted and not named, or named and not wanted."""

    def __init__(self, *, is_wanted: bool) -> None:
        if is_wanted:
            super().__init__(
                what="internet: proxy, but no proxy is named", remedy="add proxy: {address: 192.0.2.30, port: 3128}"
            )
        else:
            super().__init__(
                what="a proxy is named, but servers are not sent to it", remedy="set internet: proxy, or drop proxy"
            )


class DirectoryPasswordError(ConfigurationError):
    """A directory's entry without its password, or a password without its entry."""

    def __init__(self, *, has_name: bool) -> None:
        if has_name:
            super().__init__(
                what="bindDn has no bindPassword",
                remedy="add bindPassword: {secret: directoryPassword}, or drop bindDn",
            )
        else:
            super().__init__(what="bindPassword has no bindDn to go with", remedy="add bindDn, or drop bindPassword")


class DefaultClassError(ConfigurationError):
    """A network class of the name that the section's own settings have."""

    def __init__(self, name: str) -> None:
        super().__init__(
            what=f"{name} is what servers without a class have: the settings beside `classes`",
            remedy="change those, or give the class another name",
        )


class DirectoryGroupsError(ConfigurationError):
    """Groups of the directory are allowed, but nothing says where they are."""

    def __init__(self) -> None:
        super().__init__(
            what="groups may sign in, but nothing says where the directory has them",
            remedy="add directory.groups: {base: ...}",
        )


class NoAdminError(ConfigurationError):
    """Accounts that nobody could approve."""

    def __init__(self) -> None:
        super().__init__(what="nobody could approve an account", remedy="name at least one in admins")


class RefreshAgeError(ConfigurationError):
    """A refresh that never happens: JupyterHub takes 0 for never, before starts of servers too."""

    def __init__(self) -> None:
        super().__init__(what="refreshEvery: 0s would never ask again", remedy="write a time such as 5m")


class DefaultChoicesError(ConfigurationError):
    """Choices of an option of which not exactly one is the default, or which are none."""

    def __init__(self, option: str, defaults: Sequence[str], choices: int) -> None:
        if choices == 1:
            super().__init__(
                what=f"{option} offers a single choice", remedy="offer two, or say it at the profile itself"
            )
        else:
            found = ", ".join(defaults) or "none"
            super().__init__(
                what=f"of the choices of {option} exactly one has to be the default, and {found} is",
                remedy="set default: true on one",
            )


class ChoiceTwiceError(ConfigurationError):
    """Two choices of an option with the same key."""

    def __init__(self, option: str, key: str) -> None:
        super().__init__(what=f"two choices of {option} have the key {key}", remedy="give each a key of its own")


class SizeTwiceError(ConfigurationError):
    """CPU or memory to choose beside sizes, which are both."""

    def __init__(self) -> None:
        super().__init__(
            what="sizes are CPU and memory together, so neither can be chosen beside them",
            remedy="offer either size, or cpu and memory",
        )


class SaidTwiceError(ConfigurationError):
    """A setting that the profile says and also lets the user choose."""

    def __init__(self, *, setting: str, option: str) -> None:
        super().__init__(
            what=f"the profile says its {setting}, and lets the user choose it",
            remedy=f"drop {setting}, or options.{option}",
        )


class SaidNowhereError(ConfigurationError):
    """A profile without something every server needs."""

    def __init__(self, *, setting: str, what: str) -> None:
        super().__init__(what=f"the profile says no {setting}", remedy=f"give {setting}: {what}")


class SidecarTwiceError(ConfigurationError):
    """Two sidecars of one name in a pod."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            what=f"two of the sidecars {', '.join(names)} have the same name", remedy="give each a name of its own"
        )


class VariableNameError(ConfigurationError):
    """A name no environment variable can have."""

    def __init__(self, name: str) -> None:
        super().__init__(what=f"{name!r} is no name of an environment variable", remedy="write letters, digits and _")


class HubVariableError(ConfigurationError):
    """A variable that the hub sets."""

    def __init__(self, name: str) -> None:
        super().__init__(
            what=f"the variable {name} is the hub's to set: for itself, for the GPU or for the network class",
            remedy="drop it",
        )


class FolderError(ConfigurationError):
    """A path that leaves the repository, or that an address cannot hold."""

    def __init__(self, key: str, path: str) -> None:
        super().__init__(
            what=f"{key} {path!r} is no path inside the repository",
            remedy="write a relative path without '..', blanks, '#' and ':'",
        )


class GpuCullingPrometheusError(ConfigurationError):
    """Idle GPUs to be found without anything that measures them."""

    def __init__(self) -> None:
        super().__init__(
            what="whether a GPU is idle is known only from DCGM's measurements, and no Prometheus with them is named",
            remedy="add prometheus: {address: http://prometheus.monitoring:9090, namespace: monitoring}, or drop gpu",
        )


class PrometheusPlaceError(ConfigurationError):
    """A Prometheus of which the network policy does not know where it is."""

    def __init__(self, *, has_both: bool) -> None:
        super().__init__(
            what="Prometheus cannot be both in a namespace and in networks outside"
            if has_both
            else "nothing says where Prometheus is, so the hub is not let out to it",
            remedy="give namespace where it runs in the cluster, networks where it runs outside",
        )


class EmptyLimitError(ConfigurationError):
    """A limit that limits nothing."""

    def __init__(self) -> None:
        super().__init__(what="neither servers nor gpus are bounded", remedy="give one of them, or drop the limit")


class IdentityNameError(ConfigurationError):
    """A user or a group that cannot have this name."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(what=f"{name[:64]!r} cannot be a name here", remedy=f"choose another: {why}")


class IdentityRangeError(ConfigurationError):
    """A range that ends before it begins."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(what=f"the range from {first} to {last} is empty", remedy="write the smaller id as first")


class UnknownGroupsError(ConfigurationError):
    """A user in groups nobody has given an id."""

    def __init__(self, user: str, groups: Sequence[str]) -> None:
        super().__init__(
            what=f"{user} is in {', '.join(groups)}, which has no id here",
            remedy="add it to groups: {" + f"{groups[0]}: 6001" + "}",
        )


class MissingBindPasswordError(LookupError):
    """A directory that is asked by an entry of its own, without that entry's password."""

    def __init__(self) -> None:
        super().__init__(
            "hub.identity.directory.bindPassword: its configuration key has no value; "
            "set it by pulumi config set --secret KEY"
        )
