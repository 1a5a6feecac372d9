"""Failures of the hub's configuration."""

from components.errors import ConfigurationError

__all__ = [
    "ContradictingPartsError",
    "CullingIntervalError",
    "DirectoryPasswordError",
    "GroupsClaimError",
    "GuaranteeAboveLimitError",
    "MissingClientSecretError",
    "NobodyAllowedError",
    "ProviderFilterError",
    "UnofferedSliceError",
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
    """A sign-in with a provider, without the client secret it issued."""

    def __init__(self) -> None:
        super().__init__(
            "hub.authentication.clientSecret: its configuration key has no value; "
            "set it by pulumi config set --secret KEY"
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
