"""The network of a bed: a bridge with the machine at one end and a namespace per host."""

from pathlib import Path

from bed_commands import call, succeeds

__all__ = ["Bridge", "Port", "remove_namespaces"]

NAMESPACES = Path("/run/netns")
"""Where `ip netns` keeps them."""

INTERFACE = "eth0"
"""A host's own name for its network card."""


class Port:
    """One host's socket in the bridge, and the network namespace that is plugged into it.

    Parameters
    ----------
    bridge
        The bridge.
    name
        Of the namespace, and (shortened by the bridge) of the machine's end of the cable; at most 15 characters.
    address
        The host's IPv4 address.
    """

    def __init__(self, bridge: "Bridge", name: str, address: str) -> None:
        self._bridge = bridge
        self.name = name
        self.address = address

    @property
    def namespace(self) -> Path:
        """The namespace as a file."""
        return NAMESPACES / self.name

    @property
    def hardware_address(self) -> str:
        """The MAC address of the host's network card: a local one, made from its IPv4 address."""
        return ":".join(["02", "1a", *(f"{int(part):02x}" for part in self.address.split("."))])

    def plug(self) -> None:
        """Leave a fresh namespace plugged in, with an address and a default route and nothing else."""
        self.unplug()
        call("ip", "netns", "add", self.name)
        # The same card after every boot: neighbours may remember it.
        card = ["name", INTERFACE, "address", self.hardware_address, "netns", self.name]
        call("ip", "link", "add", self.name, "type", "veth", "peer", *card)
        call("ip", "link", "set", self.name, "master", self._bridge.name, "up")
        inside = f"""link set lo up
addr add {self.address}/{self._bridge.prefix_length} dev {INTERFACE}
link set {INTERFACE} up
route add default via {self._bridge.address}
"""
        call("ip", "-netns", self.name, "-batch", "-", text=inside)

    def unplug(self) -> None:
        """Leave no namespace and no cable."""
        if self.namespace.exists():
            call("ip", "netns", "delete", self.name)
        # The kernel takes a namespace down in its own time; its cable must be gone when the next is plugged in.
        succeeds("ip", "link", "delete", self.name)

    def cut(self) -> None:
        """Drop every frame to and from the host, silently: it keeps its link, as behind a broken switch."""
        call("bridge", "link", "set", "dev", self.name, "state", "disabled")

    def mend(self) -> None:
        """Let frames pass again."""
        call("bridge", "link", "set", "dev", self.name, "state", "forwarding")


class Bridge:
    """A private /24 on this machine. Its first address is the machine's own; nothing is routed anywhere else.

    Parameters
    ----------
    name
        Of the bridge; at most 15 characters.
    network
        The first three numbers, ``10.78.20``.
    """

    prefix_length = 24

    def __init__(self, name: str, network: str) -> None:
        self.name = name
        self._network = network

    @property
    def address(self) -> str:
        """The machine's address on it: where hosts reach what a test serves."""
        return self.numbered(1)

    def numbered(self, number: int) -> str:
        """Return the address with this last number."""
        return f"{self._network}.{number}"

    def create(self) -> None:
        """Leave the bridge up, with the machine's address."""
        self.remove()
        # Snooping would withhold multicast (VRRP of keepalived) from ports that never asked for it; no delay, no STP.
        call("ip", "link", "add", self.name, "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
        call("ip", "address", "add", f"{self.address}/{self.prefix_length}", "dev", self.name)
        call("ip", "link", "set", self.name, "up")

    def remove(self) -> None:
        """Leave no bridge."""
        if Path("/sys/class/net", self.name).exists():
            call("ip", "link", "delete", self.name)

    def port(self, name: str, number: int) -> Port:
        """Return the socket for the host with this last number."""
        return Port(self, name, self.numbered(number))


def remove_namespaces(prefix: str) -> None:
    """Leave no namespace and no cable whose name begins with `prefix`."""
    for namespace in NAMESPACES.glob(f"{prefix}*"):
        call("ip", "netns", "delete", namespace.name)
    for interface in Path("/sys/class/net").glob(f"{prefix}*"):
        succeeds("ip", "link", "delete", interface.name)
