//! Network addresses of this host, with the interface of each, best first.
//!
//! Read from /proc/net, so no C call is needed. Best first means: fabrics of clusters, then other
//! devices in the kernel's order, then bridges of containers; IPv4 before IPv6. Loopback and
//! link-local addresses are left out: no other host can use them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address of this host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Its device.
    pub name: String,
    /// Its address.
    pub ip: IpAddr,
}

/// The addresses of this host that other hosts may reach, best first.
#[must_use]
pub fn interfaces() -> Vec<Interface> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let mut found = parse_ipv4(&read("/proc/net/fib_trie"), &read("/proc/net/route"));
    found.extend(parse_ipv6(&read("/proc/net/if_inet6")));
    found.sort_by_key(|interface| (rank_of(&interface.name), interface.ip.is_ipv6()));
    found
}

/// Fabrics first, container bridges last.
fn rank_of(name: &str) -> u8 {
    const FABRICS: [&str; 4] = ["hsn", "ib", "opa", "bond"];
    const BRIDGES: [&str; 6] = ["docker", "virbr", "veth", "br-", "cni", "podman"];
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    match () {
        () if starts(&FABRICS) => 0,
        () if starts(&BRIDGES) => 2,
        () => 1,
    }
}

/// Local addresses stand in the trie as `|-- A` followed by `/32 host LOCAL`; the device is that
/// of the narrowest route that covers the address.
fn parse_ipv4(fib_trie: &str, route: &str) -> Vec<Interface> {
    let routes: Vec<(String, u32, u32)> = route.lines().skip(1).filter_map(parse_route).collect();
    let mut found: Vec<Interface> = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in fib_trie.lines() {
        if let Some((_, address)) = line.split_once("|-- ") {
            last = address.trim().parse().ok();
            continue;
        }
        let (Some(ip), true) = (last, line.trim() == "/32 host LOCAL") else { continue };
        if ip.is_loopback() || ip.is_link_local() {
            continue;
        }
        let covering = routes.iter().filter(|(_, net, mask)| u32::from(ip) & mask == *net);
        let name = covering
            .max_by_key(|(_, _, mask)| *mask)
            .map(|(name, ..)| name.clone())
            .unwrap_or_default();
        let interface = Interface { name, ip: ip.into() };
        if !found.contains(&interface) {
            found.push(interface);
        }
    }
    found
}

/// Device, network and mask of a line of /proc/net/route; its numbers are in network order, as
/// hexadecimal of a little-endian word.
fn parse_route(line: &str) -> Option<(String, u32, u32)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let word = |text: &str| u32::from_str_radix(text, 16).map(u32::from_be).ok();
    let word = |text: &str| {
        word(text).map(|value| if cfg!(target_endian = "little") { value } else { value.to_be() })
    };
    Some(((*fields.first()?).to_owned(), word(fields.get(1)?)?, word(fields.get(7)?)?))
}

/// Lines of `ADDRESS INDEX PREFIX SCOPE FLAGS NAME`; scope 00 is global.
fn parse_ipv6(if_inet6: &str) -> Vec<Interface> {
    if_inet6
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [address, _, _, "00", _, name] = fields[..] else { return None };
            let bits = u128::from_str_radix(address, 16).ok()?;
            Some(Interface { name: name.to_owned(), ip: Ipv6Addr::from(bits).into() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
        Local:\n     |-- 10.1.0.0\n        /16 link UNICAST\n     |-- 10.1.2.3\n\
        \x20       /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n\
        \x20    |-- 172.17.0.1\n        /32 host LOCAL\n     |-- 172.17.255.255\n\
        \x20       /32 link BROADCAST\n     |-- 10.1.2.3\n        /32 host LOCAL\n";
    // 10.1.0.0/16 on eth0, 172.17.0.0/16 on docker0, default on eth0.
    const ROUTE: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
        eth0\t00000000\t0100010A\t0003\t0\t0\t0\t00000000\t0\n\
        docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\n\
        eth0\t0000010A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\n";

    fn at(name: &str, ip: &str) -> Interface {
        Interface { name: name.to_owned(), ip: ip.parse().unwrap() }
    }

    #[test]
    fn local_addresses_get_the_device_of_their_narrowest_route() {
        let expected = [at("eth0", "10.1.2.3"), at("docker0", "172.17.0.1")];
        assert_eq!(parse_ipv4(TRIE, ROUTE), expected);
        assert_eq!(parse_ipv4(TRIE, ""), [at("", "10.1.2.3"), at("", "172.17.0.1")]);
    }

    #[test]
    fn only_global_ipv6_counts() {
        let text = "00000000000000000000000000000001 01 80 10 80 lo\n\
            fe800000000000000000000000000001 02 40 20 80 eth0\n\
            20010db8000000000000000000000007 02 40 00 80 ib0\n";
        assert_eq!(parse_ipv6(text), [at("ib0", "2001:db8::7")]);
    }

    #[test]
    fn fabrics_come_first_and_bridges_last() {
        let mut names = ["docker0", "eth0", "ib0", "enp3s0", "hsn1"];
        names.sort_by_key(|name| rank_of(name));
        assert_eq!(names, ["ib0", "hsn1", "eth0", "enp3s0", "docker0"]);
    }

    #[test]
    fn nonsense_is_no_address() {
        assert!(parse_ipv4("|-- x\n /32 host LOCAL\n/32 host LOCAL", "a\nb\n").is_empty());
        assert!(parse_ipv6("zz 1 2 00 3 eth0\n\n").is_empty());
    }
}
