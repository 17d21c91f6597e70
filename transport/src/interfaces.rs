//! The machine's network interfaces, and which of their addresses to tell others.

use std::net::IpAddr;

/// One address of one interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// `ib0`, `eth0`, `lo`.
    pub name: String,
    /// The address.
    pub address: IpAddr,
    /// Whether it can carry traffic now.
    pub up: bool,
    /// Whether it leads back to the machine itself.
    pub loopback: bool,
}

/// Why no address can be told.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// No interface has this name.
    #[error("no network interface '{name}' with an address; there are: {present}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// What there is.
        present: String,
    },
    /// No interface is up.
    #[error("no network interface of this machine is up")]
    None,
    /// The system did not say.
    #[error("cannot list the network interfaces")]
    System(#[from] std::io::Error),
}

/// All addresses of the machine, in the system's order.
///
/// # Errors
/// The system did not say.
pub fn interfaces() -> std::io::Result<Vec<Interface>> {
    let all = if_addrs::get_if_addrs()?;
    Ok(all
        .into_iter()
        .map(|interface| Interface {
            up: interface.is_oper_up() || interface.is_loopback(),
            loopback: interface.is_loopback(),
            address: interface.ip(),
            name: interface.name,
        })
        .collect())
}

/// The interfaces that are up and lead to other machines, best first: as for `choose_addresses`.
///
/// # Errors
/// The system did not say.
pub fn reachable_interfaces() -> std::io::Result<Vec<Interface>> {
    let mut found = interfaces()?;
    found.retain(|one| one.up && !one.loopback && !is_link_local(one.address));
    found.sort_by_key(order);
    Ok(found)
}

/// The addresses to tell others, best first: fast fabrics, then other networks, IPv4 before IPv6;
/// bridges of container engines last, since other machines have the same ones. Loopback addresses
/// only when they are asked for by name or nothing else is up.
///
/// # Errors
/// `Unknown` for a name that does not exist, `None`, `System`.
pub fn choose_addresses(interface: Option<&str>) -> Result<Vec<IpAddr>, InterfaceError> {
    choose(&interfaces()?, interface)
}

fn choose(all: &[Interface], wanted: Option<&str>) -> Result<Vec<IpAddr>, InterfaceError> {
    let mut chosen: Vec<&Interface> = match wanted {
        Some(name) => all.iter().filter(|interface| interface.name == name).collect(),
        None => all.iter().filter(|interface| interface.up && !interface.loopback).collect(),
    };
    // Addresses that need a scope lead nowhere on another machine.
    chosen.retain(|interface| !is_link_local(interface.address));
    if chosen.is_empty() {
        if let Some(name) = wanted {
            let mut names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
            names.dedup();
            return Err(InterfaceError::Unknown { name: name.into(), present: names.join(", ") });
        }
        chosen = all.iter().filter(|interface| interface.loopback).collect();
    }
    chosen.sort_by_key(|interface| order(interface));
    let addresses: Vec<IpAddr> = chosen.iter().map(|interface| interface.address).collect();
    if addresses.is_empty() { Err(InterfaceError::None) } else { Ok(addresses) }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Best first.
fn order(interface: &Interface) -> (u8, bool) {
    (rank(&interface.name), interface.address.is_ipv6())
}

/// Lower is better.
fn rank(name: &str) -> u8 {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if begins(&["ib", "hsn", "opa", "roce", "bond"]) {
        0
    } else if begins(&["docker", "virbr", "br-", "veth", "cni", "flannel", "podman", "tun", "tap"])
    {
        2
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, address: &str, up: bool) -> Interface {
        let address: IpAddr = address.parse().unwrap();
        Interface { name: name.into(), address, up, loopback: address.is_loopback() }
    }

    fn machine() -> Vec<Interface> {
        vec![
            interface("lo", "127.0.0.1", true),
            interface("docker0", "172.17.0.1", true),
            interface("eth0", "fe80::1", true),
            interface("eth0", "2001:db8::1", true),
            interface("eth0", "192.0.2.1", true),
            interface("eth1", "192.0.2.9", false),
            interface("ib0", "198.51.100.1", true),
        ]
    }

    fn texts(addresses: &[IpAddr]) -> Vec<String> {
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fabrics_come_first_and_bridges_last() {
        let chosen = choose(&machine(), None).unwrap();
        assert_eq!(texts(&chosen), ["198.51.100.1", "192.0.2.1", "2001:db8::1", "172.17.0.1"]);
    }

    #[test]
    fn a_name_is_obeyed() {
        assert_eq!(texts(&choose(&machine(), Some("lo")).unwrap()), ["127.0.0.1"]);
        assert_eq!(texts(&choose(&machine(), Some("eth1")).unwrap()), ["192.0.2.9"]);
        let error = choose(&machine(), Some("eth7")).unwrap_err().to_string();
        assert!(error.contains("eth7") && error.contains("ib0"), "{error}");
    }

    #[test]
    fn loopback_serves_when_there_is_nothing_else() {
        let alone = vec![interface("lo", "127.0.0.1", true), interface("eth0", "192.0.2.1", false)];
        assert_eq!(texts(&choose(&alone, None).unwrap()), ["127.0.0.1"]);
        assert!(matches!(choose(&[], None), Err(InterfaceError::None)));
    }

    #[test]
    fn this_machine_has_a_loopback() {
        assert!(interfaces().unwrap().iter().any(|interface| interface.loopback));
        assert!(reachable_interfaces().unwrap().iter().all(|one| one.up && !one.loopback));
    }
}
